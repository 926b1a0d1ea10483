import { Redis } from 'ioredis';
import { afterAll, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { suiteProcesses } from '../../scripts/dist/suite.js';
import { containersOf, docker } from '../helpers/containers.js';
import { Crowd } from '../helpers/crowd.js';
import { parseJson } from '../helpers/expectations.js';
import { RestLoad } from '../helpers/rest-load.js';
import type { ProcessName } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const { STACK = '', STACK_FILES = '', NEXT_TAG = '' } = process.env;
const REPLICAS = 3;
/** With 24 users, so many messages a second: few, for two cores that start eight processes at a time besides. */
const PAUSE_MS = 1_000;
/** Each replica has to become healthy before the next one is replaced. */
const UPDATE_WITHIN_MS = 600_000;

const redis = inject('redis');
const databases = (['user_service', 'message_service', 'notification_service'] as const).map(
  (username, db) =>
    new Redis({ ...redis, db, username, password: redisPassword(username), lazyConnect: true }),
);
const crowd = new Crowd(inject('addresses'), REPLICAS, PAUSE_MS, {
  ...redis,
  databases: (database) => databases[database] ?? expect.fail(),
});
const restLoad = new RestLoad(crowd.addresses);

afterAll(async () => {
  await restLoad.end();
  await crowd.end();
  for (const database of databases) database.disconnect();
});

function redisPassword(username: string): string {
  return process.env[`${username.toUpperCase()}_REDIS_PASSWORD`] ?? '';
}

function replicasOf(name: ProcessName): Promise<string[]> {
  return containersOf('com.docker.swarm.service.name', `${STACK}_${name}`);
}

const updateStatus = z.object({ State: z.string(), Message: z.string() }).nullable();

/** Waits until the last update of a service has ended so. */
async function waitForUpdate(name: ProcessName, state: 'completed' | 'rollback_completed'): Promise<void> {
  await waitFor(
    async () => {
      const status = parseJson(
        updateStatus,
        await docker('service', 'inspect', '--format', '{{json .UpdateStatus}}', `${STACK}_${name}`),
      );
      return status?.State === state;
    },
    { what: `the update of ${name} is ${state}`, timeoutMs: UPDATE_WITHIN_MS },
  );
}

/** Waits until as many replicas as there should be are healthy, none of them among these. */
async function waitForOthers(name: ProcessName, gone: readonly string[]): Promise<void> {
  await waitFor(
    async () => {
      const format = '{{.ID}} {{.Status}}';
      const label = `label=com.docker.swarm.service.name=${STACK}_${name}`;
      const lines = (await docker('ps', '--filter', label, '--format', format)).split('\n');
      const healthy = lines.filter((line) => line.includes('(healthy)'));
      return healthy.length === REPLICAS && !lines.some((line) => gone.includes(line.split(' ')[0] ?? ''));
    },
    { what: `${name} has ${REPLICAS} healthy replicas`, timeoutMs: UPDATE_WITHIN_MS },
  );
}

test('every service is replaced under load without a failed call; what does not start is taken back; who is killed is replaced', async () => {
  await crowd.start();
  await restLoad.start();
  await crowd.waitForMore(50);
  report('start');
  expectNoneFailed();
  const before = new Map(
    await Promise.all(suiteProcesses.map(async ({ name }) => [name, await replicasOf(name)] as const)),
  );

  // All services at once.
  const files = STACK_FILES.split(' ').flatMap((file) => ['--compose-file', file]);
  process.env['TAG'] = NEXT_TAG;
  await docker('stack', 'deploy', '--resolve-image', 'never', ...files, STACK);
  for (const { name } of suiteProcesses) {
    await waitForUpdate(name, 'completed');
    await waitForOthers(name, before.get(name) ?? []);
  }
  await crowd.waitForMore(50);
  report('rolling update');
  expectNoneFailed();

  const service = `${STACK}_message_service_grpc`;
  // An image that has no such program.
  await docker('service', 'update', '--detach', '--no-resolve-image', '--image', 'redis:alpine', service);
  await waitForUpdate('message_service_grpc', 'rollback_completed');
  await waitForOthers('message_service_grpc', []);
  await crowd.waitForMore(50);
  report('rollback');
  expectNoneFailed();

  const victims = new Map<ProcessName, string>();
  for (const { name } of suiteProcesses) {
    const [victim = ''] = await replicasOf(name);
    victims.set(name, victim);
    await docker('kill', victim);
    await crowd.waitForMore(20);
  }
  for (const [name, victim] of victims) await waitForOthers(name, [victim]);
  await crowd.waitForMore(50);
  report('kill');

  await restLoad.end();
  const conversation = `conversation:${restLoad.sender}:${restLoad.receiver}`;
  const stored = await databases[1]?.hget(conversation, 'message_count');
  expect(Number(stored)).toBeGreaterThanOrEqual(restLoad.sent);
  await crowd.expectNothingLost();
}, 1_800_000);

function expectNoneFailed(): void {
  expect({ refused: crowd.refused, failed: restLoad.failed }).toEqual({ refused: [], failed: [] });
}

function report(after: string): void {
  console.log(
    `after the ${after}: ${crowd.acknowledged} messages acknowledged, ${crowd.refused.length} refused; ` +
      `${restLoad.answered} REST requests answered, ${restLoad.sent} messages among them, ${restLoad.failed.length} failed`,
  );
}
