import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { connect, newEmail } from '../helpers/clients.js';
import { EventStream, signIn } from '../helpers/inbox.js';
import { readMetrics } from '../helpers/metrics.js';
import { restClient } from '../helpers/rest.js';
import { type ProcessName, Suite } from '../helpers/suite.js';
import { Traffic } from '../helpers/traffic.js';
import { waitFor } from '../helpers/wait-for.js';
import { idsShown, watchNotifications } from '../helpers/watch.js';

const NUMBERS = [1, 2, 3] as const;
const LOG_IN_FAILURES = 2;

const grpcDoors = [
  'user_service_grpc',
  'message_service_grpc',
  'notification_service_grpc',
  'frontend_service_grpc',
] as const;

let suite: Suite;
/** What reaches the first replica of each process, the second, and the third. */
let replicas: [Clients, Clients, Clients];
type Clients = ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start({
    replicas: {
      user_service_api: 2,
      user_service_grpc: 3,
      message_service_api: 2,
      message_service_grpc: 3,
      notification_service_api: 2,
      notification_service_grpc: 3,
      frontend_service_api: 2,
      frontend_service_grpc: 3,
    },
    metrics: true,
    environment: {
      NOTIFICATIONS_KEPT: '100000',
      LOG_IN_FAILURES: String(LOG_IN_FAILURES),
      PEER_TIMEOUT_MS: '3000',
    },
  });
  const connectTo = (number: number) => connect(suite.addressesOf(number), suite.redis);
  replicas = [connectTo(1), connectTo(2), connectTo(3)];
  await suite.waitUntilReady(60_000);
}, 90_000);

afterAll(async () => {
  for (const clients of replicas) clients.close();
  await suite.stop();
});

async function signUp(name: string) {
  const account = { email: newEmail(name), password: 'secret', name };
  await replicas[0].rest.users().post('/users').send(account).expect(201);
  return account;
}

/** A counter of each replica of a process. */
async function readCounters(process: ProcessName, series: string): Promise<number[]> {
  const all = await Promise.all(suite.metricsAddresses(process).map(async (address) => readMetrics(address)));
  return all.map((metrics) => metrics.get(series) ?? 0);
}

/** Leaves messages to be notified as a process does that dies: written, and not touched again. Waits until all have been. */
async function leaveOver(count: number, firstId: number): Promise<void> {
  const redis = replicas[0].redis(1);
  const isEmpty = async () => (await redis.xlen('outbox:notify')) === 0;
  await waitFor(isEmpty, { what: 'the outbox is empty' });
  const writes = redis.multi();
  for (let index = 1; index <= count; index++) {
    const message_id = String(1_000_000 + firstId + index);
    const entry = { message_id, sender_email: 'a@example.com', receiver_email: 'left@example.com' };
    writes.xadd('left', `1-${index}`, 'entry', JSON.stringify(entry));
  }
  writes.rename('left', 'outbox:notify');
  await writes.exec();
  await waitFor(isEmpty, { what: 'all are delivered', timeoutMs: 20_000 });
}

/** Whom MessageService and its peers ask on a message's way. */
const peers = ['frontend_service_grpc', 'notification_service_grpc', 'user_service_grpc'] as const;

/** What they are asked. */
const methods = {
  frontend_service_grpc: '/frontend_service.FrontendService/ReceiveNotificationsStream',
  notification_service_grpc: '/notification_service.NotificationService/CreateNotificationsStream',
  user_service_grpc: '/user_service.UserService/CheckUsersExistStream',
} as const satisfies Record<(typeof peers)[number], string>;

/** How many calls of that way each replica of a peer has answered since it was started. */
async function readShares(name: (typeof peers)[number]): Promise<number[]> {
  const labels = `grpc_method="${methods[name]}",grpc_code="OK"`;
  return readCounters(name, `grpc_server_handling_seconds_count{${labels}}`);
}

describe('three replicas of each process', () => {
  test('share the calls that one replica of MessageService makes', async () => {
    const before = await Promise.all(peers.map(readShares));
    const traffic = new Traffic(replicas[0], 'shared');
    try {
      await traffic.start();
      for (const [number, name] of peers.entries()) {
        const isShared = async () => {
          const counts = await readShares(name);
          return counts.every((count, index) => count > (before[number]?.[index] ?? 0) + 10);
        };
        await waitFor(isShared, { what: `each replica of ${name} is asked`, timeoutMs: 20_000 });
      }
      await traffic.expectNothingLost();
    } finally {
      await traffic.end();
    }
  }, 90_000);

  test('show a watcher everything once and in order, wherever it watches and wherever it was sent', async () => {
    const [alice, bob] = [await signUp('alice'), await signUp('bob')];
    const watches = replicas.map((clients) =>
      watchNotifications(clients.channel('frontend_service_grpc'), { email: bob.email, after_id: '0' }),
    );
    await Promise.all(watches.map(({ established }) => established));
    const cookie = await signIn(suite.addresses.frontend_service_api, bob);
    const streams = await Promise.all(
      NUMBERS.map((number) => EventStream.open(suite.addressesOf(number).frontend_service_api, cookie, '0')),
    );
    const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };
    for (let count = 0; count < 30; count++) {
      await Promise.all(
        replicas.map((clients) => clients.grpc.messages.SendMessage({ message: { ...message } })),
      );
    }
    const all = Array.from({ length: 90 }, (_, index) => String(index + 1));
    await waitFor(
      () =>
        watches.every(({ shown }) => shown.length >= all.length) &&
        streams.every(({ notificationIds }) => notificationIds.length >= all.length),
      { what: 'all are shown everywhere', timeoutMs: 20_000 },
    );
    for (const watch of watches) expect(idsShown(watch)).toEqual(all);
    for (const { notificationIds } of streams) expect(notificationIds).toEqual(all);
    for (const watch of watches) watch.cancel();
    for (const stream of streams) stream.close();
  }, 60_000);

  test('store a message once that is sent to all of them with one request id, at both doors', async () => {
    const [alice, bob] = [await signUp('alice'), await signUp('bob')];
    const [sender_email, receiver_email] = [alice.email, bob.email];
    const request_id = randomUUID();
    const message = { sender_email, receiver_email, content: 'once' };
    const answers = await Promise.all([
      ...replicas.map(({ grpc }) => grpc.messages.SendMessage({ message, request_id })),
      ...replicas.map(async ({ rest }) => {
        const answer = await rest
          .messages()
          .post('/messages')
          .set('Idempotency-Key', request_id)
          .send(message)
          .expect(201);
        return z.object({ message_id: z.string() }).parse(answer.body);
      }),
    ]);
    expect(new Set(answers.map(({ message_id }) => message_id)).size).toBe(1);
    const { messages } = await replicas[1].grpc.messages.GetMessages({ user_email: receiver_email });
    expect(messages).toHaveLength(1);
    await waitFor(async () => (await replicas[2].redis(2).llen(`notifications:${receiver_email}`)) === 1, {
      what: 'it is notified',
    });
  });

  test('know a session that began at one of them, and end it everywhere', async () => {
    const bob = await signUp('bob');
    const doors = NUMBERS.map((number) =>
      restClient('frontend_service_api', suite.addressesOf(number).frontend_service_api),
    );
    const cookie = await signIn(suite.addressesOf(2).frontend_service_api, bob);
    const statuses = () =>
      Promise.all(doors.map(async (door) => (await door.get('/api/session').set('Cookie', cookie)).status));
    expect(await statuses()).toEqual([200, 200, 200]);
    await doors[2]?.delete('/api/session').set('Cookie', cookie).expect(204);
    await waitFor(async () => (await statuses()).every((code) => code === 401), {
      what: 'the session has ended at all replicas',
    });
  });

  test('count wrong passwords together, whichever replica and door they are tried at', async () => {
    const { email, password } = await signUp('guessed');
    for (const { rest } of replicas) {
      await rest.users().post('/login').send({ email, password: 'wrong' }).expect(401);
    }
    // Has the wait that follows from it last, however slow the machine is.
    const redis = replicas[0].redis(0);
    const pauses = await redis.keys(`limit:*:pause:*`);
    for (const pause of pauses) await redis.pexpire(pause, 60_000);
    for (const { rest, grpc } of replicas) {
      await rest.users().post('/login').send({ email, password }).expect(429);
      await expect(grpc.users.AuthenticateUser({ email, password })).rejects.toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
      });
    }
  });

  test('deliver together what a process that died has left over', async () => {
    const relays = ['message_service_grpc', 'message_service_api'] as const;
    const deliveries = 'outbox_deliveries_total{stream="outbox:notify",outcome="delivered"}';
    const readDeliveries = async () =>
      (await Promise.all(relays.map(async (process) => readCounters(process, deliveries)))).flat();
    const before = await readDeliveries();
    let left = 0;
    await waitFor(
      async () => {
        await leaveOver(2_000, left);
        left += 2_000;
        const delivered = (await readDeliveries()).map((count, index) => count - (before[index] ?? 0));
        return delivered.every((count) => count > 0);
      },
      { what: 'every relay has had its part', timeoutMs: 60_000 },
    );
    expect(await replicas[0].redis(2).hlen('notified_messages:left@example.com')).toBe(left);
  }, 90_000);

  test('are stopped and started one after the other, and no message is refused', async () => {
    // Some calls are under way at any time; without a pause they would leave little to those that start.
    const traffic = new Traffic(replicas[0], 'rolling', replicas[0], 20);
    try {
      await traffic.start();
      await traffic.waitForMore(100);
      for (const name of peers) {
        for (const number of NUMBERS) {
          const running = suite.replica(name, number);
          running.kill('SIGTERM');
          expect(await running.exited).toEqual({ code: 0, signal: null });
          await traffic.waitForMore(50);
          await running.restart();
          await waitFor(async () => ((await readShares(name))[number - 1] ?? 0) > 0, {
            what: `replica ${number} of ${name} is used again`,
            timeoutMs: 40_000,
          });
        }
      }
      expect(traffic.refused).toEqual([]);
      await traffic.expectNothingLost();
    } finally {
      await traffic.end();
    }
  }, 240_000);

  test('lose one of each that is killed, and nothing else: what may be asked twice is asked of another', async () => {
    const staying = new Traffic(replicas[0], 'staying');
    const leaving = new Traffic(replicas[0], 'leaving', replicas[2]);
    try {
      await Promise.all([staying.start(), leaving.start()]);
      await Promise.all([staying.waitForMore(150), leaving.waitForMore(300)]);
      for (const name of grpcDoors) {
        suite.replica(name, 3).kill('SIGKILL');
        await suite.replica(name, 3).exited;
        await staying.waitForMore(50);
      }
      expect(staying.refused).toEqual([]);
      await leaving.expectNothingLost();
      await staying.expectNothingLost();
    } finally {
      await Promise.all([staying.end(), leaving.end()]);
    }
  }, 240_000);
});
