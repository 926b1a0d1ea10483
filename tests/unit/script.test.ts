import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { isRedisUnavailable } from '@messaging/service_kit/redis/errors';
import { defineBatchScript, defineScript, requireTypesLua } from '@messaging/service_kit/redis/script';
import { mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { findFreePorts } from '../helpers/free-ports.js';
import { connectToRedis } from '../helpers/redis-connection.js';
import { SuiteRedis } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

/** Appends a text to a list, with all of the run that go there, and tells its place there. */
const append = defineBatchScript(
  'append',
  ['list', 'text'],
  z.tuple([z.number(), z.string()]),
  `
  ${requireTypesLua}
  local lists = {}
  local function handle(entry)
    require_type(entry.list, 'list')
    lists[entry.list] = lists[entry.list] or { outcomes = {}, texts = {} }
    local list, outcome = lists[entry.list], { 0, entry.text }
    list.outcomes[#list.outcomes + 1], list.texts[#list.texts + 1] = outcome, entry.text
    return outcome
  end
  local function finish()
    for key, list in pairs(lists) do
      local length = redis.call('RPUSH', key, unpack(list.texts))
      for index, outcome in ipairs(list.outcomes) do outcome[1] = length - #list.texts + index end
    end
  end
  `,
);
const length = defineScript('length', z.number(), `return redis.call('LLEN', KEYS[1])`);

let folder: string;
let redis: SuiteRedis;
let connection: RedisConnection;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'messaging-script-'));
  const [port = 0] = await findFreePorts(1);
  redis = new SuiteRedis(port, folder);
  await redis.start();
  connection = await connectToRedis(redis, 0);
});

afterAll(async () => {
  await connection.stop();
  await redis.stop();
  await rm(folder, { recursive: true });
});

beforeEach(() => connection.client.flushdb());

const add = (text: string, list = 'list') => connection.handle(append, { list, text });
const runsOf = async (command: string) => {
  const stats = await connection.client.info('commandstats');
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0);
};

test('items of one turn share a run, in order, and each gets its own outcome', async () => {
  await add('known');
  await connection.client.config('RESETSTAT');
  const outcomes = await Promise.all(['a', 'b', ''].map(async (text) => add(text)));
  expect(outcomes).toEqual([
    [2, 'a'],
    [3, 'b'],
    [4, ''],
  ]);
  expect(await connection.client.lrange('list', 0, -1)).toEqual(['known', 'a', 'b', '']);
  expect(await runsOf('evalsha')).toBe(1);
});

test('of more items than one run handles, none is lost or moved, whatever else is run beside them', async () => {
  const texts = Array.from({ length: 300 }, (_, index) => `text ${index}`);
  const [outcomes, before] = await Promise.all([
    Promise.all(texts.map(async (text) => add(text))),
    connection.run(length, ['other'], []),
  ]);
  expect(outcomes).toEqual(texts.map((text, index) => [index + 1, text]));
  expect(before).toBe(0);
  expect(await connection.client.lrange('list', 0, -1)).toEqual(texts);
});

test('a run that is full reaches Redis in the midst of a turn, and one that is not after it', async () => {
  await add('so that Redis knows the script', 'other');
  const ask = (count: number, list: string) =>
    Array.from({ length: count }, (_, index) => add(`text ${index}`, list));
  const full = ask(64, 'full');
  const lengthOfFull = connection.client.llen('full');
  const notFull = ask(63, 'not full');
  const lengthOfNotFull = connection.client.llen('not full');
  expect(await Promise.all([lengthOfFull, lengthOfNotFull])).toEqual([64, 0]);
  await Promise.all([...full, ...notFull]);
  expect(await connection.client.llen('not full')).toBe(63);
});

test('long items share a run until it is long enough', async () => {
  await add('known');
  await connection.client.config('RESETSTAT');
  const texts = ['a', 'b', 'c', 'd', 'e'].map((letter) => letter.repeat(400_000));
  await Promise.all(texts.map(async (text) => add(text)));
  expect(await connection.client.lrange('list', 1, -1)).toEqual(texts);
  expect(await runsOf('evalsha')).toBe(2);
});

test('an item that fails, fails alone', async () => {
  await connection.client.set('taken', 'by a string');
  const outcomes = await Promise.allSettled([add('a'), add('b', 'taken'), add('c')]);
  expect(outcomes).toEqual([
    { status: 'fulfilled', value: [1, 'a'] },
    { status: 'rejected', reason: new Error('WRONGTYPE taken is a string, not a list') },
    { status: 'fulfilled', value: [2, 'c'] },
  ]);
  expect(await connection.client.get('taken')).toBe('by a string');
});

test.each([
  '',
  '"',
  '\\',
  '\u0000',
  '\ud800',
  'é',
  '👩‍👩‍👧‍👦',
  '/',
  '</script>',
  '\u2028',
  '%s',
  'a'.repeat(100_000),
])('any text comes through as it is, or as UTF-8 has it: %j', async (text) => {
  const [place] = await add(text);
  expect(place).toBe(1);
  const stored = await connection.client.lindex('list', 0);
  expect(stored).toBe(Buffer.from(text).toString());
});

test('a Redis that has lost its scripts is given them again', async () => {
  await add('a');
  await connection.client.script('FLUSH');
  expect(await Promise.all([add('b'), connection.run(length, ['list'], []), add('c')])).toEqual([
    [2, 'b'],
    3,
    [3, 'c'],
  ]);
  expect(await connection.client.lrange('list', 0, -1)).toEqual(['a', 'b', 'c']);
});

test('what Redis refuses in general is no fault of an item: nothing is written, and all are told that it is away', async () => {
  await connection.client.config('SET', 'maxmemory', '1');
  try {
    const outcomes = await Promise.allSettled([add('a'), add('b')]);
    for (const outcome of outcomes) {
      expect(outcome.status === 'rejected' && isRedisUnavailable(outcome.reason)).toBe(true);
    }
  } finally {
    await connection.client.config('SET', 'maxmemory', '0');
  }
  expect(await connection.client.exists('list')).toBe(0);
});

test('a run that had reached the disk in part when Redis crashed is gone as a whole', async () => {
  await add('before');
  const log = join(folder, 'appendonlydir', 'appendonly.aof.1.incr.aof');
  const { size: before } = await stat(log);
  const texts = Array.from({ length: 64 }, (_, index) => `text ${index}`);
  await Promise.all(texts.map(async (text) => add(text)));
  const { size: after } = await stat(log);
  await redis.kill();
  await waitFor(() => !connection.isUp, { what: 'the crash is noticed' });
  await truncate(log, before + Math.floor((after - before) * 0.75));
  await redis.start();
  await waitFor(() => connection.isUp, { what: 'Redis is back' });
  expect(await connection.client.lrange('list', 0, -1)).toEqual(['before']);
});
