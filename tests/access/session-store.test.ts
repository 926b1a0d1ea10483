import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { SessionStore } from '../../user_service/dist/store/session-store.js';
import { connectToRedis } from '../helpers/redis-connection.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const HOUR_MS = 60 * 60 * 1_000;
const email = 'alice@example.com';
const record = { email, secret_hash: 'x' };
const account = '{"name":"Alice"}';

let suite: Suite;
let connection: RedisConnection;
let store: SessionStore;

beforeAll(async () => {
  suite = await Suite.start({ processes: [] });
  connection = await connectToRedis(suite.redis, 0);
  store = new SessionStore(connection, HOUR_MS);
});

afterAll(async () => {
  await connection.stop();
  await suite.stop();
});

beforeEach(async () => {
  await connection.client.flushdb();
  await connection.client.set(`users:${email}`, account);
});

test('a session begins with the account as it was found, and with no other', async () => {
  expect(await store.addSession('one', record, account, HOUR_MS)).toBe('added');
  expect(await store.addSession('two', record, '{"name":"Al"}', HOUR_MS)).toBe('changed');
  expect(await store.findSession('one')).toEqual(record);
  expect(await store.findSession('two')).toBeUndefined();
});

test('of more than a hundred sessions the oldest ends, and is told', async () => {
  for (let count = 1; count <= 101; count++) {
    // The later one ends later.
    await store.addSession(`session-${count}`, record, account, HOUR_MS + count);
  }
  expect(await store.findSession('session-1')).toBeUndefined();
  expect(await store.findSession('session-2')).toEqual(record);
  const { sessions } = await store.listEnded('');
  expect(sessions.map(({ session_id }) => session_id)).toEqual(['session-1']);
});

test('a session ends when it is not used, and goes on when it is', async () => {
  await store.addSession('unused', record, account, 200);
  await store.addSession('used', record, account, 200);
  expect(await store.extendSession('used', email, HOUR_MS)).toBe(true);
  await waitFor(async () => (await store.findSession('unused')) === undefined, { what: 'it has ended' });
  expect(await store.extendSession('unused', email, HOUR_MS)).toBe(false);
  expect(await store.findSession('used')).toEqual(record);
});

test('sessions that ended are told once, page by page', async () => {
  for (const id of ['one', 'two']) {
    await store.addSession(id, record, account, HOUR_MS);
    await store.endSession(id, email);
    await store.endSession(id, email);
  }
  const first = await store.listEnded('');
  expect(first.sessions.map(({ session_id }) => session_id)).toEqual(['one', 'two']);
  expect(first.hasMore).toBe(false);
  expect(await store.listEnded(first.nextAfter)).toEqual({
    sessions: [],
    nextAfter: first.nextAfter,
    hasMore: false,
  });
});
