import { randomUUID } from 'node:crypto';
import { enqueueLua } from '@messaging/service_kit/redis/outbox';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { watchHealth } from '../helpers/health.js';
import { MESSAGE_CHAIN, Suite } from '../helpers/suite.js';
import { isSubset, shownNotifications, Traffic } from '../helpers/traffic.js';
import { waitFor } from '../helpers/wait-for.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;
let traffic: Traffic;

beforeAll(async () => {
  suite = await Suite.start({
    processes: MESSAGE_CHAIN,
    environment: { REDIS_TIMEOUT_MS: '1000', PEER_TIMEOUT_MS: '1500' },
    processEnvironment: { frontend_service_grpc: { LOG_LEVEL: 'info' } },
  });
  clients = connect(suite.addresses, suite.redis);
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

beforeEach(async () => {
  for (const running of suite.running) if (!running.isRunning) await running.restart();
  await suite.waitUntilReady();
  traffic = new Traffic(clients, `sender-${randomUUID()}-`);
  await traffic.start();
});

afterEach(async () => {
  await traffic.end();
});

/** Besides what traffic compares: FrontendService has shown every notification. */
async function expectAllShown() {
  const ids = await traffic.notificationIds();
  await waitFor(() => isSubset(ids, shownNotifications(suite)), {
    what: 'every notification is shown',
    timeoutMs: 20_000,
  });
}

test('each process is killed in turn', async () => {
  await traffic.waitForMore(100);
  for (const name of [
    'user_service_grpc',
    'message_service_grpc',
    'notification_service_grpc',
    'frontend_service_grpc',
  ] as const) {
    suite.process(name).kill('SIGKILL');
    await suite.process(name).exited;
    // Without UserService or MessageService nothing can be sent; without the others everything can.
    const canSend = name === 'notification_service_grpc' || name === 'frontend_service_grpc';
    await (canSend ? traffic.waitForMore(50) : traffic.waitForRefusal());
    await suite.process(name).restart();
    await suite.waitUntilReady();
    await traffic.waitForMore(50);
  }
  await traffic.expectNothingLost();
  await expectAllShown();
}, 120_000);

test('Redis is killed and started again', async () => {
  await traffic.waitForMore(150);
  await suite.redis.kill();
  await traffic.waitForRefusal();
  await suite.redis.start();
  await traffic.waitForMore(150);
  await traffic.expectNothingLost();
  await expectAllShown();
}, 120_000);

test('Redis hangs until all that use it have given it up, and goes on', async () => {
  await traffic.waitForMore(150);
  const watches = (['user', 'message', 'notification'] as const).map((name) =>
    watchHealth(clients.channel(`${name}_service_grpc`), ''),
  );
  suite.redis.pause();
  for (const { statuses } of watches) {
    await waitFor(() => statuses.at(-1) === 'NOT_SERVING', {
      what: 'a service says that Redis is away',
      timeoutMs: 20_000,
    });
  }
  await traffic.waitForRefusal();
  suite.redis.resume();
  for (const watch of watches) watch.cancel();
  await traffic.waitForMore(150);
  await traffic.expectNothingLost();
  await expectAllShown();
}, 120_000);

test.each(['notification_service_grpc', 'frontend_service_grpc'] as const)(
  '%s is away for the whole run, and starts after it',
  async (name) => {
    suite.process(name).kill('SIGKILL');
    await suite.process(name).exited;
    await traffic.waitForMore(300);
    await traffic.end();
    await suite.process(name).restart();
    await suite.waitUntilReady();
    await traffic.expectNothingLost();
    await expectAllShown();
  },
  120_000,
);

test('an entry that can not be read, or is refused for good, becomes a dead letter and holds up nothing', async () => {
  const plant = (entry: string) =>
    clients.redis(1).eval(`${enqueueLua} return enqueue(KEYS[1], ARGV[1])`, 1, 'outbox:notify', entry);
  const refusedForGood = { message_id: 'x'.repeat(200), sender_email: 'a@b.c', receiver_email: 'b@c.d' };
  await plant('{"half');
  await plant(JSON.stringify(refusedForGood));
  await traffic.waitForMore(300);
  await waitFor(async () => (await clients.redis(1).xlen('outbox:notify:dead')) === 2, {
    what: 'both are dead letters',
    timeoutMs: 60_000,
  });
  const letters = await clients.redis(1).xrange('outbox:notify:dead', '-', '+');
  expect(new Set(letters.map(([, fields]) => fields))).toEqual(
    new Set([
      ['entry', '{"half', 'reason', expect.any(String)],
      ['entry', JSON.stringify(refusedForGood), 'reason', expect.any(String)],
    ]),
  );
  expect(suite.process('message_service_grpc').output).toContain('an entry was given up');
  await clients.redis(1).del('outbox:notify:dead');
  await traffic.expectNothingLost();
}, 120_000);
