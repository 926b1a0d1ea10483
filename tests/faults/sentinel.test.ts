import { status } from '@grpc/grpc-js';
import { isGrpcServing } from '@messaging/service_kit/grpc/probe';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';
import { watchHealth } from '../helpers/health.js';
import { MESSAGE_CHAIN, Suite } from '../helpers/suite.js';
import { Traffic } from '../helpers/traffic.js';
import { waitFor } from '../helpers/wait-for.js';
import { WatchedRedis } from '../helpers/watched-redis.js';

const FAILOVER_TIMEOUT_MS = 30_000;

let watched: WatchedRedis;
let suite: Suite;
let clients: ReturnType<typeof connect>;
/** Where tests look at what is stored: the primary, once a failover is over. */
let primaryAddress: { host: string; port: number; password: string };

beforeAll(async () => {
  watched = await WatchedRedis.start();
  suite = await Suite.start({
    redis: 'none',
    processes: MESSAGE_CHAIN,
    environment: {
      ...watched.environment,
      REDIS_WAIT_REPLICAS: '1',
      REDIS_TIMEOUT_MS: '2000',
      PEER_TIMEOUT_MS: '3000',
    },
  });
  await suite.waitUntilReady(50_000);
});

afterAll(async () => {
  clients.close();
  await suite.stop();
  await watched.stop();
});

async function startTraffic(name: string): Promise<Traffic> {
  clients = connect(suite.addresses, (primaryAddress = watched.addressOf(await watched.findPrimary())));
  const traffic = new Traffic(clients, name);
  await traffic.start();
  await traffic.waitForMore(150);
  return traffic;
}

/** Everybody who was refused was told to come again: what a Redis that hangs holds up can be overdue before it is given up. */
function expectClearRefusals({ refused }: Traffic): void {
  const codes = refused.map((error) => (error instanceof Object && 'code' in error ? error.code : error));
  for (const code of codes) expect([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]).toContain(code);
  expect(codes).toContain(status.UNAVAILABLE);
}

async function waitUntilReplicaIsMissed(traffic: Traffic): Promise<void> {
  await expect
    .poll(() => traffic.refused.at(-1), { timeout: FAILOVER_TIMEOUT_MS })
    .toMatchObject({ details: expect.stringContaining('fewer replicas') });
}

async function waitUntilServing(): Promise<void> {
  await waitFor(async () => isGrpcServing('message_service', suite.addresses.message_service_grpc, 5_000), {
    what: 'MessageService has found the new primary',
    timeoutMs: FAILOVER_TIMEOUT_MS,
  });
}

test('a primary that is killed under load: nothing acknowledged is lost, and all goes on at the other one', async () => {
  const traffic = await startTraffic('killed');
  const old = await watched.findPrimary();
  await old.kill();
  await traffic.waitForRefusal();
  await waitFor(async () => (await watched.findPrimary()) !== old, {
    what: 'the replica is the primary',
    timeoutMs: FAILOVER_TIMEOUT_MS,
  });
  await waitUntilServing();

  // Of which there is no replica now: what is stored can be read, and nothing is stored that it alone would have.
  await waitUntilReplicaIsMissed(traffic);
  const account = { email: 'late@example.com', password: 'secret', name: 'Late' };
  expectRefusal(await clients.rest.users().post('/users').send(account), 503, /fewer replicas/);
  const { messages } = await clients.grpc.messages.GetMessages({ user_email: 'killed0@example.com' });
  expect(messages).not.toHaveLength(0);
  expect((await clients.rest.users().get('/readyz')).status).toBe(200);

  await watched.restartAsReplica(old);
  await traffic.waitForMore(150);
  expectClearRefusals(traffic);
  primaryAddress.port = watched.other(old).port;
  await traffic.expectNothingLost();
  clients.close();
}, 120_000);

test('a primary that hangs, and goes on as if it still were one: it gets nothing acknowledged any more', async () => {
  const traffic = await startTraffic('hung');
  const old = await watched.findPrimary();
  const health = watchHealth(clients.channel('message_service_grpc'), '');
  await waitFor(() => health.statuses.at(-1) === 'SERVING', { what: 'the watch has begun' });
  old.pause();
  try {
    // Nothing closes its connections: the Sentinels tell MessageService, which meets one without a replica then.
    await waitUntilReplicaIsMissed(traffic);
    await waitUntilServing();
    // For how short a time soever: it noticed.
    expect(health.statuses).toContain('NOT_SERVING');
    expect(await watched.findPrimary()).not.toBe(old);
  } finally {
    health.cancel();
    old.resume();
  }
  await watched.waitUntilReplica(old);
  await traffic.waitForMore(150);
  expectClearRefusals(traffic);
  primaryAddress.port = watched.other(old).port;
  await traffic.expectNothingLost();
}, 120_000);
