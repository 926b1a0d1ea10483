import { type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../helpers/clients.js';
import { parseJson } from '../helpers/expectations.js';
import { MESSAGE_CHAIN, type ProcessName, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const notified = z.looseObject({ message_id: z.string() });

let suite: Suite;
let clients: ReturnType<typeof connect>;

const message = { sender_email: 'alice@example.com', receiver_email: 'bob@example.com', content: 'hello' };

beforeAll(async () => {
  suite = await Suite.start({
    processes: MESSAGE_CHAIN,
    environment: { PEER_TIMEOUT_MS: '1000' },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const email of [message.sender_email, message.receiver_email]) {
    await clients.rest
      .users()
      .post('/users')
      .send({ email, password: 'secret', name: 'Somebody' })
      .expect(201);
  }
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

let away: ProcessName[] = [];

async function kill(name: ProcessName) {
  away.push(name);
  suite.process(name).kill('SIGKILL');
  await suite.process(name).exited;
}

async function pause(name: ProcessName) {
  away.push(name);
  suite.process(name).kill('SIGSTOP');
}

afterEach(async () => {
  for (const name of away) {
    suite.process(name).kill('SIGCONT');
    await suite.process(name).restart();
  }
  away = [];
  await suite.waitUntilReady();
  await waitFor(
    async () => {
      const answer = await clients.grpc.messages.SendMessage({ message }).catch(() => undefined);
      return answer?.success === true;
    },
    { what: 'a message is sent once everyone is back' },
  );
});

async function isStored(messageId: string | undefined) {
  return (await clients.redis(1).exists(`message:${messageId}`)) === 1;
}

test.each([
  ['killed', kill],
  ['hanging', pause],
])('a message is stored and acknowledged while NotificationService is %s', async (_, takeAway) => {
  await takeAway('notification_service_grpc');
  const answer = await clients.grpc.messages.SendMessage({ message });
  expect(answer).toMatchObject({ success: true, message: 'Message sent' });
  expect(await isStored(answer.message_id)).toBe(true);
});

test.each([
  ['killed', kill],
  ['hanging', pause],
])('a notification is stored while FrontendService is %s', async (_, takeAway) => {
  await takeAway('frontend_service_grpc');
  const receiver_email = `receiver-${takeAway.name}@example.com`;
  const answer = await clients.grpc.notifications.CreateNotification({
    sender_email: 'a@b.c',
    receiver_email,
  });
  expect(answer).toEqual({ success: true });
  expect(await clients.redis(2).llen(`notifications:${receiver_email}`)).toBe(1);
});

test('peers that are killed in the middle of a batch, and start again, cost no message', async () => {
  const count = 200;
  const receiver_email = 'batch@example.com';
  const account = { email: receiver_email, password: 'secret', name: 'Batch' };
  await clients.rest.users().post('/users').send(account).expect(201);
  for (const name of ['frontend_service_grpc', 'notification_service_grpc'] as const) await pause(name);
  // All of them are asked for at once; NotificationService hangs, so that its batches are under way when it is killed.
  const answers = await Promise.all(
    Array.from({ length: count }, async (_, index) =>
      clients.grpc.messages.SendMessage({ message: { ...message, receiver_email, content: `${index}` } }),
    ),
  );
  expect(answers.every(({ success }) => success)).toBe(true);
  await kill('notification_service_grpc');
  await suite.process('notification_service_grpc').restart();
  suite.process('frontend_service_grpc').kill('SIGCONT');

  const sent = new Set(answers.map(({ message_id }) => message_id));
  await expect
    .poll(
      async () => {
        const stored = await clients.redis(2).lrange(`notifications:${receiver_email}`, 0, -1);
        return stored.map((text) => parseJson(notified, text).message_id);
      },
      { timeout: 25_000 },
    )
    .toHaveLength(sent.size);
  const stored = await clients.redis(2).lrange(`notifications:${receiver_email}`, 0, -1);
  expect(new Set(stored.map((text) => parseJson(notified, text).message_id))).toEqual(sent);
  for (const [stream, redis] of [
    ['outbox:notify', clients.redis(1)],
    ['outbox:push', clients.redis(2)],
  ] as const) {
    await waitFor(async () => (await redis.xlen(stream)) === 0, {
      what: `${stream} is empty`,
      timeoutMs: 25_000,
    });
    expect(await redis.exists(`${stream}:dead`)).toBe(0);
  }
}, 90_000);

test('sends whose batch breaks with UserService are refused, and stored by none', async () => {
  const before = await clients.redis(1).get('message_id_counter');
  await pause('user_service_grpc');
  const outcomes = Promise.allSettled(
    Array.from({ length: 50 }, async () => clients.grpc.messages.SendMessage({ message })),
  );
  await kill('user_service_grpc');
  for (const outcome of await outcomes) {
    expect(outcome).toMatchObject({
      status: 'rejected',
      reason: { details: expect.stringContaining('UserService') },
    });
  }
  expect(await clients.redis(1).get('message_id_counter')).toBe(before);
});

test('a user signs up while NotificationService is away, and the subscription follows', async () => {
  await kill('notification_service_grpc');
  const email = 'carol@example.com';
  await clients.rest.users().post('/users').send({ email, password: 'secret', name: 'Carol' }).expect(201);
  expect(await clients.redis(2).hexists('subscriptions', email)).toBe(0);

  await suite.process('notification_service_grpc').restart();
  away = [];
  await expect
    .poll(() => clients.redis(2).hget('subscriptions', email), { timeout: 20_000 })
    .toBe(JSON.stringify({ user_email: email, subscribed: true }));
});

test('a message is refused as UNAVAILABLE while UserService is killed, and nothing is stored', async () => {
  const before = await clients.redis(1).get('message_id_counter');
  await kill('user_service_grpc');
  await expect(clients.grpc.messages.SendMessage({ message })).rejects.toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining('UserService'),
  });
  expect(await clients.redis(1).get('message_id_counter')).toBe(before);
});

test('a message is refused as DEADLINE_EXCEEDED while UserService hangs', async () => {
  await pause('user_service_grpc');
  const error: ServiceError = await clients.grpc.messages.SendMessage({ message }).then(
    () => Promise.reject(new Error('it was sent')),
    (refusal: ServiceError) => refusal,
  );
  expect(error).toMatchObject({
    code: status.DEADLINE_EXCEEDED,
    // MessageService said so: the call was still within its own deadline.
    details: expect.stringContaining('UserService did not answer in time'),
  });
});
