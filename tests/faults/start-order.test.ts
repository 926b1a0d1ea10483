import { status } from '@grpc/grpc-js';
import { isGrpcServing } from '@messaging/service_kit/grpc/probe';
import { afterEach, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';
import { Suite, type SuiteOptions } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;

async function start(options: SuiteOptions) {
  suite = await Suite.start(options);
  clients = connect(suite.addresses, suite.redis);
}

afterEach(async () => {
  clients.close();
  await suite.stop();
});

const message = { sender_email: 'alice@example.com', receiver_email: 'bob@example.com', content: 'hello' };

async function signUp(email: string) {
  await clients.rest.users().post('/users').send({ email, password: 'secret', name: 'Somebody' }).expect(201);
}

test('without Redis every process lives, says what is missing, and works once Redis is there', async () => {
  await start({ redis: 'none' });
  const doors = [clients.rest.users, clients.rest.messages, clients.rest.notifications];
  for (const door of doors) {
    await waitFor(async () => (await door().get('/healthz')).status === 200, { what: 'the process lives' });
    const ready = await door().get('/readyz');
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({ success: false, missing: ['redis'] });
  }
  expectRefusal(await clients.rest.users().get('/users'), 503, /Redis/);
  expectRefusal(await clients.rest.messages().get('/list_conversations?email=a@b.c'), 503, /Redis/);
  expectRefusal(await clients.rest.notifications().get('/list_notifications?email=a@b.c'), 503, /Redis/);
  const missing = { code: status.UNAVAILABLE, details: expect.stringContaining('Redis') };
  await expect(clients.grpc.users.CheckUserExists({ email: 'a@b.c' })).rejects.toMatchObject(missing);
  await expect(clients.grpc.messages.GetMessages({ user_email: 'a@b.c' })).rejects.toMatchObject(missing);
  await expect(clients.grpc.notifications.SubscribeUser({ email: 'a@b.c' })).rejects.toMatchObject(missing);
  expect(await isGrpcServing('message_service', suite.addresses.message_service_grpc, 5_000)).toBe(false);
  await waitFor(() => isGrpcServing('frontend_service', suite.addresses.frontend_service_grpc, 5_000), {
    what: 'FrontendService, which needs no Redis, serves',
  });

  await suite.redis.start();
  await suite.waitUntilReady();
  await Promise.all([signUp(message.sender_email), signUp(message.receiver_email)]);
  await expect(clients.grpc.messages.SendMessage({ message })).resolves.toMatchObject({ success: true });
});

test('a process that starts before its peers is ready, names them, and works once they are there', async () => {
  await start({ processes: ['message_service_api', 'message_service_grpc', 'user_service_api'] });
  await suite.waitUntilReady();

  const ready = await clients.rest.messages().get('/readyz').expect(200);
  expect(ready.body).toMatchObject({ unreachable_peers: ['UserService', 'NotificationService'] });
  await expect(clients.grpc.messages.SendMessage({ message })).rejects.toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining('UserService'),
  });
  await Promise.all([signUp(message.sender_email), signUp(message.receiver_email)]);

  suite.startProcess('user_service_grpc');
  await suite.waitUntilReady();
  await waitFor(
    async () => {
      const { success } = await clients.grpc.messages.SendMessage({ message });
      return success === true;
    },
    { what: 'a message is sent without NotificationService' },
  );

  suite.startProcess('notification_service_grpc');
  suite.startProcess('notification_service_api');
  await suite.waitUntilReady();
  await expect
    .poll(() => clients.redis(2).hkeys('subscriptions'), { timeout: 20_000 })
    .toEqual(expect.arrayContaining([message.sender_email, message.receiver_email]));
  await waitFor(
    async () => {
      await clients.grpc.messages.SendMessage({ message });
      const listed = await clients.rest.notifications().get('/list_notifications').query({
        email: message.receiver_email,
      });
      return listed.text.includes(message.sender_email);
    },
    { what: 'a message is notified without FrontendService' },
  );
});
