import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const WARNING = 'set maxmemory-policy noeviction';

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeEach(async () => {
  suite = await Suite.start({ processes: [] });
  clients = connect(suite.addresses, suite.redis);
});

afterEach(async () => {
  clients.close();
  await suite.stop();
});

function countWarnings(output: string): number {
  return output.split(WARNING).length - 1;
}

test('a Redis that would delete data when it is full is warned of, once', async () => {
  await clients.redis(0).config('SET', 'maxmemory-policy', 'allkeys-lru');
  const running = suite.startProcess('notification_service_api');
  await waitFor(() => running.output.includes(WARNING), { what: 'the warning', timeoutMs: 30_000 });
  await suite.waitUntilReady();

  // Lost and found again: Redis has the same setting then, but it was said.
  await clients.redis(0).call('CLIENT', 'KILL', 'TYPE', 'normal');
  await waitFor(() => running.output.includes('lost Redis'), { what: 'the process loses Redis' });
  await suite.waitUntilReady();
  await waitFor(() => hasAskedForThePolicy(2), { what: 'it has asked again' });
  expect(countWarnings(running.output)).toBe(1);
});

test('nothing is said of one that refuses instead', async () => {
  const running = suite.startProcess('notification_service_api');
  await suite.waitUntilReady();
  await waitFor(() => hasAskedForThePolicy(1), { what: 'it has asked for the policy' });
  expect(countWarnings(running.output)).toBe(0);
});

test('nor of one that does not tell', async () => {
  await clients.redis(0).call('ACL', 'SETUSER', 'default', '-config');
  const running = suite.startProcess('notification_service_api', { LOG_LEVEL: 'debug' });
  await waitFor(() => running.output.includes('does not tell its maxmemory-policy'), {
    what: 'it is said to those who look for it',
    timeoutMs: 30_000,
  });
  await suite.waitUntilReady();
  const warnings = running.output.split('\n').filter((line) => line.includes('"level":"warn"'));
  // Of nothing but the mode, which every process warns of.
  expect(warnings).toEqual([expect.stringContaining('AUTH_MODE is open')]);
});

/** Has Redis answered CONFIG GET that often? */
async function hasAskedForThePolicy(times: number): Promise<boolean> {
  const calls = /cmdstat_config\|get:calls=(\d+)/.exec(await clients.redis(0).info('commandstats'))?.[1];
  return Number(calls ?? 0) >= times;
}
