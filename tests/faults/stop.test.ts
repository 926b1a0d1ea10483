import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { watchHealth } from '../helpers/health.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeEach(async () => {
  suite = await Suite.start({
    processes: ['user_service_api', 'user_service_grpc', 'message_service_grpc', 'notification_service_grpc'],
    environment: { SHUTDOWN_GRACE_MS: '20000', LOG_LEVEL: 'info' },
    // Slow enough for requests to be under way when the process is told to stop.
    processEnvironment: { user_service_api: { BCRYPT_COST: '12' } },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterEach(async () => {
  clients.close();
  await suite.stop();
});

function signUp(email: string) {
  return clients.rest.users().post('/users').send({ email, password: 'secret', name: 'Somebody' });
}

test('a gRPC process that is told to stop under load loses no message and exits with 0', async () => {
  const [sender_email, receiver_email] = ['alice@example.com', 'bob@example.com'];
  await Promise.all([signUp(sender_email).expect(201), signUp(receiver_email).expect(201)]);

  const acknowledged: string[] = [];
  const refused: ServiceError[] = [];
  const sender = async (name: number) => {
    for (let count = 0; refused.length === 0; count++) {
      const content = `${name}.${count}`;
      await clients.grpc.messages.SendMessage({ message: { sender_email, receiver_email, content } }).then(
        () => acknowledged.push(content),
        (error: ServiceError) => refused.push(error),
      );
    }
  };
  const senders = Array.from({ length: 16 }, (_, name) => sender(name));
  await waitFor(() => acknowledged.length >= 100, { what: '100 messages are sent', timeoutMs: 20_000 });

  const process = suite.process('message_service_grpc');
  process.kill('SIGTERM');
  expect(await process.exited).toEqual({ code: 0, signal: null });
  await Promise.all(senders);

  // Whoever was refused was not served at all: every call that was under way got its answer.
  expect(new Set(refused.map(({ code }) => code))).toEqual(new Set([status.UNAVAILABLE]));
  await process.restart();
  await suite.waitUntilReady();
  const { messages } = await clients.grpc.messages.GetMessages({ user_email: receiver_email });
  expect(messages.map(({ content = '' }) => content).toSorted()).toEqual(acknowledged.toSorted());
});

test('a health watch hears NOT_SERVING and then that the server stops', async () => {
  const health = watchHealth(clients.channel('message_service_grpc'), '');
  await waitFor(() => health.statuses.at(-1) === 'SERVING', { what: 'the watch says SERVING' });
  const process = suite.process('message_service_grpc');
  process.kill('SIGTERM');
  expect(await health.ended).toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining('shutting down'),
  });
  expect(health.statuses).toEqual(['SERVING', 'NOT_SERVING']);
  expect(await process.exited).toEqual({ code: 0, signal: null });
});

test('a REST process that is told to stop answers what is under way and exits with 0', async () => {
  const process = suite.process('user_service_api');
  const underWay = Array.from({ length: 6 }, (_, index) =>
    signUp(`user${index}@example.com`).then((it) => it),
  );
  await waitFor(async () => (await clients.redis(0).exists('users:user0@example.com')) === 1, {
    what: 'the first of them is done',
  });
  process.kill('SIGINT');
  const answers = await Promise.all(underWay);
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 6 }, () => 201));
  expect(await process.exited).toEqual({ code: 0, signal: null });
});

test('a second signal at once changes nothing; one that comes later exits at once', async () => {
  // A request that never ends keeps the process from draining.
  const { port } = new URL(`http://${suite.addresses.user_service_api}`);
  const socket = connectTcp(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(
    'POST /users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
  );

  const process = suite.process('user_service_api');
  await waitFor(async () => (await clients.rest.users().get('/healthz')).status === 200, {
    what: 'it serves',
  });
  process.kill('SIGINT');
  await waitFor(() => process.output.includes('stopping'), { what: 'it stops' });
  process.kill('SIGINT');
  await waitFor(
    () => {
      process.kill('SIGINT');
      return !process.isRunning;
    },
    { what: 'it gives up waiting' },
  );
  expect(await process.exited).toEqual({ code: 1, signal: null });
  socket.destroy();
});
