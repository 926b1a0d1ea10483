import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { KeysInStore } from '../../user_service/dist/domain/token-keys.js';
import { SessionStore } from '../../user_service/dist/store/session-store.js';
import { connectToRedis } from '../helpers/redis-connection.js';
import { Suite } from '../helpers/suite.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const times = { useForMs: 30 * DAY_MS, tokenLifetimeMs: 15 * MINUTE_MS };

let suite: Suite;
let connection: RedisConnection;
/** Two processes that share their keys. */
let one: KeysInStore;
let other: KeysInStore;

beforeAll(async () => {
  suite = await Suite.start({ processes: [] });
  connection = await connectToRedis(suite.redis, 0);
});

afterAll(async () => {
  await connection.stop();
  await suite.stop();
});

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  await connection.client.flushdb();
  const store = new SessionStore(connection, times.tokenLifetimeMs);
  one = new KeysInStore(store, times);
  other = new KeysInStore(store, times);
});

afterEach(() => void vi.useRealTimers());

const kidsOf = async (source: KeysInStore) => (await source.read()).map(({ kid }) => kid);
const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);

test('processes that start together have one key', async () => {
  const all = await Promise.all([one, other, one, other].map(kidsOf));
  expect(all[0]).toHaveLength(1);
  expect(new Set(all.flat()).size).toBe(1);
});

test('the next key is shown for a minute before it signs, and the last one until its tokens have ended', async () => {
  const [first] = await kidsOf(one);
  pass(times.useForMs + 1);
  const shown = await kidsOf(one);
  expect(shown).toHaveLength(2);
  expect(shown[0]).toBe(first);
  expect(await kidsOf(other)).toEqual(shown);

  pass(MINUTE_MS);
  expect(await kidsOf(other)).toEqual([shown[1], first]);

  pass(times.tokenLifetimeMs);
  expect(await kidsOf(one)).toEqual([shown[1], first]);
  pass(MINUTE_MS);
  expect(await kidsOf(one)).toEqual([shown[1]]);
});
