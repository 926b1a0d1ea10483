import { type ServiceError, status } from '@grpc/grpc-js';
import { isGrpcServing } from '@messaging/service_kit/grpc/probe';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';
import { watchHealth } from '../helpers/health.js';
import { snapshot } from '../helpers/snapshot.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;

const alice = 'alice@example.com';
const bob = 'bob@example.com';

beforeAll(async () => {
  suite = await Suite.start({
    processes: [
      'user_service_api',
      'user_service_grpc',
      'message_service_api',
      'message_service_grpc',
      'notification_service_grpc',
    ],
    environment: { REDIS_TIMEOUT_MS: '500' },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const email of [alice, bob]) {
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

function send(content: string, receiver_email = bob) {
  return clients.grpc.messages.SendMessage({ message: { sender_email: alice, receiver_email, content } });
}

async function contentsOf(email: string) {
  const { messages } = await clients.grpc.messages.GetMessages({ user_email: email });
  return messages.map(({ content = '' }) => content);
}

async function expectOutage() {
  await waitFor(
    async () => !(await isGrpcServing('message_service', suite.addresses.message_service_grpc, 5_000)),
    {
      what: 'MessageService notices that Redis is away',
    },
  );
  expect((await clients.rest.messages().get('/healthz')).status).toBe(200);
  await expect
    .poll(async () => (await clients.rest.messages().get('/readyz')).body as unknown)
    .toMatchObject({ success: false, missing: ['redis'] });
  expectRefusal(await clients.rest.messages().get('/list_conversations').query({ email: bob }), 503, /Redis/);
  await expect(send('lost?')).rejects.toMatchObject({ code: status.UNAVAILABLE });
  await expect(clients.grpc.messages.GetMessages({ user_email: bob })).rejects.toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining('Redis'),
  });
}

test('a Redis that is killed and comes back: refused meanwhile, and nothing acknowledged is lost', async () => {
  await expect(send('before the crash')).resolves.toMatchObject({ success: true });
  const health = watchHealth(clients.channel('message_service_grpc'), 'message_service.MessageService');
  await waitFor(() => health.statuses.at(-1) === 'SERVING', { what: 'the watch says SERVING' });

  await suite.redis.kill();
  await expectOutage();
  await waitFor(() => health.statuses.at(-1) === 'NOT_SERVING', { what: 'the watch says NOT_SERVING' });

  await suite.redis.start();
  await waitFor(() => health.statuses.at(-1) === 'SERVING', { what: 'the watch says SERVING again' });
  await suite.waitUntilReady();
  health.cancel();
  expect(await contentsOf(bob)).toContain('before the crash');
  await expect(send('after the crash')).resolves.toMatchObject({ success: true });
});

test('a Redis that hangs: nothing hangs with it, and all is well once it goes on', async () => {
  suite.redis.pause();
  try {
    await expectOutage();
  } finally {
    suite.redis.resume();
  }
  await suite.waitUntilReady();
  await expect(send('after the pause')).resolves.toMatchObject({ success: true });
});

test('a Redis that is killed under load: what was acknowledged is stored exactly once', async () => {
  const acknowledged: string[] = [];
  const refused: ServiceError[] = [];
  const end = new AbortController();
  const sender = async (name: number) => {
    for (let count = 0; !end.signal.aborted; count++) {
      const content = `under load ${name}.${count}`;
      await send(content).then(
        () => acknowledged.push(content),
        (error: ServiceError) => refused.push(error),
      );
    }
  };
  const senders = Array.from({ length: 8 }, (_, name) => sender(name));
  await waitFor(() => acknowledged.length >= 50, { what: '50 messages are sent', timeoutMs: 20_000 });
  await suite.redis.kill();
  await waitFor(() => refused.length > 0, { what: 'a message is refused' });
  await suite.redis.start();
  const before = acknowledged.length;
  await waitFor(() => acknowledged.length >= before + 50, {
    what: '50 more messages are sent',
    timeoutMs: 20_000,
  });
  end.abort();
  await Promise.all(senders);

  expect(new Set(refused.map(({ code }) => code))).toEqual(new Set([status.UNAVAILABLE]));
  const stored = (await contentsOf(bob)).filter((content) => content.startsWith('under load'));
  expect(stored).toHaveLength(new Set(stored).size);
  expect(stored).toEqual(expect.arrayContaining(acknowledged));
});

test.each([
  ['message_id_counter', 'list'],
  ['message_id_counter', 'string'],
  [`conversation:${alice}:${alice}`, 'string'],
  [`user:${alice}:conversations`, 'string'],
  [`mailbox:${alice}`, 'string'],
  [`thread:${alice}:${alice}`, 'string'],
  [`recent_conversations:${alice}`, 'string'],
])('where %s is a %s, a message is refused and nothing of it is written', async (key, type) => {
  const redis = clients.redis(1);
  await waitFor(async () => (await redis.xlen('outbox:notify')) === 0, {
    what: 'all that was sent before is notified',
    timeoutMs: 30_000,
  });
  const kept = `kept:${key}`;
  if (await redis.exists(key)) await redis.rename(key, kept);
  await (type === 'list' ? redis.rpush(key, 'not ours') : redis.set(key, 'not ours'));
  try {
    const before = await snapshot(clients);
    await expect(send('half?', alice)).rejects.toMatchObject({
      code: status.INTERNAL,
      details: 'Something went wrong on our side',
    });
    expect(await snapshot(clients)).toEqual(before);
  } finally {
    await redis.del(key);
    if (await redis.exists(kept)) await redis.rename(kept, key);
  }
});
