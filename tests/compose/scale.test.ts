import { Client, credentials } from '@grpc/grpc-js';
import { afterAll, expect, inject, test } from 'vitest';
import { suiteProcesses } from '../../scripts/dist/suite.js';
import { connect, rest } from '../helpers/clients.js';
import { containersOf, countAnswered, docker, readContainerMetrics } from '../helpers/containers.js';
import { Follower } from '../helpers/follower.js';
import { signIn } from '../helpers/inbox.js';
import type { ProcessName } from '../helpers/suite.js';
import { Traffic } from '../helpers/traffic.js';
import { waitFor } from '../helpers/wait-for.js';

const PROJECT = process.env['PROJECT'] ?? '';
const REPLICAS = Number(process.env['REPLICAS']);
const PAUSE_MS = 200;

const addresses = inject('addresses');

/** Clients whose gRPC connections are their own: the balancer gives each connection to one replica. */
const callers = Array.from({ length: REPLICAS }, (_, index) => {
  const door = connect(
    addresses,
    inject('redis'),
    (address) => new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
  );
  return { door, traffic: new Traffic(door, `scale${index}-`, door, PAUSE_MS) };
});
const traffics = callers.map(({ traffic }) => traffic);
const followers = new Map<string, Follower>();

afterAll(async () => {
  await Promise.all([...followers.values()].map((follower) => follower.end()));
  await Promise.all(traffics.map((traffic) => traffic.end()));
  for (const { door } of callers) door.close();
});

function replicasOf(name: ProcessName): Promise<string[]> {
  return containersOf('com.docker.compose.service', name, PROJECT);
}

async function waitForMore(count: number): Promise<void> {
  await Promise.all(traffics.map((traffic) => traffic.waitForMore(count)));
}

async function askEveryRestDoor(email: string): Promise<void> {
  await rest.users().get(`/users/${email}`).expect(200);
  await rest.messages().get(`/list_conversations?email=${email}`).expect(200);
  await rest.notifications().get(`/list_notifications?email=${email}`).expect(200);
  await rest.frontend().get('/api/session').expect(401);
}

test('all replicas share the work; one of each is killed, which costs nothing that was acknowledged', async () => {
  for (const { traffic, door } of callers) {
    await traffic.start();
    for (const [number, account] of traffic.accounts.entries()) {
      const { email } = account;
      const isBrowser = number % 4 === 0;
      const follower = isBrowser
        ? Follower.byEvents(
            addresses.frontend_service_api,
            await signIn(addresses.frontend_service_api, account),
          )
        : Follower.byWatch(door.channel('frontend_service_grpc'), email);
      followers.set(email, follower);
    }
  }
  const [one] = followers.keys();
  const email = one ?? '';
  for (let round = 0; round < 2 * REPLICAS; round++) await askEveryRestDoor(email);

  for (const { name } of suiteProcesses) {
    const replicas = await replicasOf(name);
    expect(replicas).toHaveLength(REPLICAS);
    await waitFor(
      async () => {
        const metrics = await Promise.all(replicas.map(readContainerMetrics));
        return metrics.every((it) => countAnswered(it) > 0);
      },
      { what: `all replicas of ${name} have answered something`, timeoutMs: 30_000 },
    );
  }

  for (const { name } of suiteProcesses) {
    const [victim = ''] = await replicasOf(name);
    await docker('kill', victim);
    await waitForMore(20);
  }
  for (let round = 0; round < 2 * REPLICAS; round++) await askEveryRestDoor(email);

  for (const traffic of traffics) await traffic.expectNothingLost();
  const notified = (await Promise.all(traffics.map((traffic) => traffic.notificationIds()))).flat();
  for (const [user, follower] of followers) {
    await follower.expectAllOnce(notified.filter((one) => one.startsWith(`${user} `)).length);
  }
  const acknowledged = traffics.reduce((sum, traffic) => sum + traffic.acknowledged.length, 0);
  const refused = traffics.reduce((sum, traffic) => sum + traffic.refused.length, 0);
  console.log(`${acknowledged} messages were acknowledged, ${refused} calls refused`);
}, 180_000);
