import { afterAll, expect, inject, test } from 'vitest';
import { suiteProcesses } from '../../scripts/dist/suite.js';
import { rest } from '../helpers/clients.js';
import { containersOf, countAnswered, docker, readContainerMetrics } from '../helpers/containers.js';
import { Crowd } from '../helpers/crowd.js';
import type { ProcessName } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const PROJECT = process.env['PROJECT'] ?? '';
const REPLICAS = Number(process.env['REPLICAS']);
const PAUSE_MS = 300;

const crowd = new Crowd(inject('addresses'), REPLICAS, PAUSE_MS, inject('redis'));
afterAll(() => crowd.end());

function replicasOf(name: ProcessName): Promise<string[]> {
  return containersOf('com.docker.compose.service', name, PROJECT);
}

/** As often as it takes for every replica to be asked. */
async function askEveryRestDoor(email = ''): Promise<void> {
  for (let round = 0; round < 2 * REPLICAS; round++) {
    await rest.users().get(`/users/${email}`).expect(200);
    await rest.messages().get(`/list_conversations?email=${email}`).expect(200);
    await rest.notifications().get(`/list_notifications?email=${email}`).expect(200);
    await rest.frontend().get('/api/session').expect(401);
  }
}

test('all replicas share the work; one of each is killed, which costs nothing that was acknowledged', async () => {
  await crowd.start();
  await askEveryRestDoor(crowd.emails[0]);
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
    await crowd.waitForMore(20);
  }
  await askEveryRestDoor(crowd.emails[0]);
  await crowd.waitForMore(50);

  await crowd.expectNothingLost();
  console.log(`${crowd.acknowledged} messages were acknowledged, ${crowd.refused.length} calls refused`);
}, 180_000);
