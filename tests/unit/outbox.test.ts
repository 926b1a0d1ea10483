import { randomUUID } from 'node:crypto';
import { Coalescer } from '@messaging/service_kit/coalescer';
import { ServiceError } from '@messaging/service_kit/errors';
import { createLogger } from '@messaging/service_kit/log';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua, originFields, Outbox } from '@messaging/service_kit/redis/outbox';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { newTraceparent } from '../helpers/trace-collector.js';
import { connectToRedis } from '../helpers/redis-connection.js';
import { waitFor } from '../helpers/wait-for.js';

/** None of the suite's. */
const DATABASE = 9;
const MORE_THAN_REFUSALS_ALLOWED = 8;

const logger = await createLogger('tests', 'silent', 'json');
const entrySchema = z.object({ name: z.string() });
type Entry = z.output<typeof entrySchema>;

let connection: RedisConnection;
let outbox: Outbox<Entry>;
let stream: string;
/** What the receiver does with an entry; what it takes is in `delivered`. */
let receive: () => void;
let delivered: Entry[];
let attempts: number;
/** What each was called that was delivered. */
let requestIds: Record<string, string | undefined>;

beforeEach(async () => {
  connection = await connectToRedis(inject('redis'), DATABASE);
  stream = `outbox:test:${randomUUID()}`;
  [receive, delivered, attempts, requestIds] = [() => {}, [], 0, {}];
  outbox = new Outbox(connection, logger, {
    stream,
    entry: entrySchema,
    deliver: async (entry, { requestId }) => {
      attempts++;
      receive();
      requestIds[entry.name] = requestId;
      delivered.push(entry);
    },
  });
});

afterEach(async () => {
  await outbox.stop(5_000);
  await connection.client.del(stream, `${stream}:dead`);
  await connection.stop();
});

function fail(kind: 'unavailable' | 'tooSlow' | 'internal'): () => never {
  return () => {
    throw new ServiceError(kind, `the receiver says ${kind}`);
  };
}

async function enqueue(text: string): Promise<string> {
  const lua = `${enqueueLua} return enqueue(KEYS[1], ARGV[1])`;
  return z.string().parse(await connection.client.eval(lua, 1, stream, text));
}

const waiting = () => connection.client.xlen(stream);
const deadLetters = () => connection.client.xrange(`${stream}:dead`, '-', '+');
const waitUntilEmpty = () =>
  waitFor(async () => (await waiting()) === 0, { what: 'the outbox is empty', timeoutMs: 20_000 });

test.each(['unavailable', 'tooSlow'] as const)(
  'an entry whose receiver is %s more often than any count is never given up, and delivered once it is back',
  async (kind) => {
    receive = fail(kind);
    const entry = { name: 'patient' };
    const id = await enqueue(JSON.stringify(entry));
    let postponed = 0;
    outbox.events.on('postponed', () => postponed++);
    for (let count = 0; count < MORE_THAN_REFUSALS_ALLOWED; count++) await outbox.deliverNow(id, entry);
    expect(postponed).toBe(MORE_THAN_REFUSALS_ALLOWED);
    expect(await deadLetters()).toEqual([]);
    expect(await waiting()).toBe(1);

    receive = () => {};
    outbox.start();
    await waitUntilEmpty();
    expect(delivered).toEqual([entry]);
    expect(await deadLetters()).toEqual([]);
  },
);

test('the relay itself tries an entry again and again while the receiver is away', async () => {
  receive = fail('unavailable');
  await enqueue(JSON.stringify({ name: 'relayed' }));
  outbox.start();
  await waitFor(() => attempts >= 3, { what: 'it is tried three times', timeoutMs: 20_000 });
  expect(await waiting()).toBe(1);
  receive = () => {};
  await waitUntilEmpty();
  expect(delivered).toEqual([{ name: 'relayed' }]);
  expect(await deadLetters()).toEqual([]);
});

test('an entry is left to the process that wrote it for two seconds', async () => {
  let startedAfterMs = 0;
  // An id begins with when its entry was written, by the clock of Redis, which is this machine's.
  const id = await enqueue(JSON.stringify({ name: 'left' }));
  receive = () => (startedAfterMs = Date.now() - Number.parseInt(id));
  outbox.start();
  await waitUntilEmpty();
  expect(startedAfterMs).toBeGreaterThanOrEqual(2_000);
});

test('deliveries that nobody waits for go out together, though each is one of its own', async () => {
  const batches: string[][] = [];
  const receiver = new Coalescer<string, undefined>({
    name: 'the receiver',
    send: async (names) => {
      batches.push(names);
      return names.map(() => ({ status: 'fulfilled', value: undefined }));
    },
  });
  const sharing = new Outbox(connection, logger, {
    stream,
    entry: entrySchema,
    deliver: async ({ name }) => receiver.run(name),
  });
  const names = ['a', 'b', 'c'];
  const ids = await Promise.all(names.map(async (name) => enqueue(JSON.stringify({ name }))));
  for (const [index, name] of names.entries()) sharing.deliverSoon(ids[index] ?? '', { name });
  await waitUntilEmpty();
  await sharing.stop(5_000);
  expect(batches).toEqual([names]);
});

test('entries that come while others are tried again are delivered behind them, each once', async () => {
  let isAway = true;
  receive = () => {
    if (isAway) fail('unavailable')();
  };
  await enqueue(JSON.stringify({ name: 'patient' }));
  outbox.start();
  await waitFor(() => attempts >= 2, { what: 'it is tried again', timeoutMs: 20_000 });
  const names = Array.from({ length: 600 }, (_, index) => `late ${index}`);
  for (const name of names) await enqueue(JSON.stringify({ name }));
  isAway = false;
  await waitUntilEmpty();
  expect(delivered.map(({ name }) => name).toSorted()).toEqual(['patient', ...names].toSorted());
});

test('an entry that is refused for good five times becomes a dead letter, with its content and the reason', async () => {
  receive = fail('internal');
  const entry = { name: 'refused' };
  const id = await enqueue(JSON.stringify(entry));
  let given = 0;
  outbox.events.on('deadLettered', () => given++);
  for (let count = 0; count < 4; count++) await outbox.deliverNow(id, entry);
  expect([given, await waiting(), await deadLetters()]).toEqual([0, 1, []]);

  await outbox.deliverNow(id, entry);
  expect([given, await waiting()]).toEqual([1, 0]);
  expect((await deadLetters()).map(([, fields]) => fields)).toEqual([
    ['entry', JSON.stringify(entry), 'reason', 'the receiver says internal'],
  ]);
});

test('outages in between do not count as refusals', async () => {
  const entry = { name: 'mixed' };
  const id = await enqueue(JSON.stringify(entry));
  for (let count = 0; count < 4; count++) {
    receive = fail('internal');
    await outbox.deliverNow(id, entry);
    receive = fail('unavailable');
    await outbox.deliverNow(id, entry);
  }
  expect([await waiting(), await deadLetters()]).toEqual([1, []]);
});

test.each(['{ not JSON', '"another shape"', '{"name":7}', ''])(
  'an entry that can not be read, %j, becomes a dead letter as it is, and those behind it are delivered',
  async (text) => {
    await enqueue(text);
    await enqueue(JSON.stringify({ name: 'behind' }));
    outbox.start();
    await waitUntilEmpty();
    expect(delivered).toEqual([{ name: 'behind' }]);
    expect((await deadLetters()).map(([, fields]) => fields)).toEqual([
      ['entry', text, 'reason', expect.stringMatching(/\S/)],
    ]);
  },
);

test('an entry with other fields becomes a dead letter with all of them', async () => {
  await enqueue(JSON.stringify({ name: 'before' }));
  await connection.client.xadd(stream, '*', 'colour', 'red', 'size', '3');
  outbox.start();
  await waitUntilEmpty();
  expect((await deadLetters()).map(([, fields]) => fields)).toEqual([
    ['colour', 'red', 'size', '3', 'reason', expect.stringMatching(/\S/)],
  ]);
});

test('an entry is delivered with the id of its request, where it has one, by a relay that does not trace', async () => {
  const lua = `${enqueueLua} return enqueue(KEYS[1], unpack(ARGV))`;
  const origin = ['request_id', 'a-request', 'traceparent', newTraceparent()];
  await connection.client.eval(lua, 1, stream, JSON.stringify({ name: 'named' }), ...origin);
  await connection.client.eval(lua, 1, stream, JSON.stringify({ name: 'from an older version' }));
  outbox.start();
  await waitUntilEmpty();
  expect(requestIds).toEqual({ named: 'a-request', 'from an older version': undefined });
});

test('a dead letter keeps where it comes from', async () => {
  receive = fail('internal');
  const lua = `${enqueueLua} return enqueue(KEYS[1], unpack(ARGV))`;
  const entry = { name: 'refused' };
  const id = await connection.client.eval(lua, 1, stream, JSON.stringify(entry), 'request_id', 'a-request');
  for (let count = 0; count < 5; count++) await outbox.deliverNow(z.string().parse(id), entry);
  expect((await deadLetters()).map(([, fields]) => fields)).toEqual([
    ['entry', JSON.stringify(entry), 'request_id', 'a-request', 'reason', 'the receiver says internal'],
  ]);
});

test.each([
  [{}, []],
  [{ requestId: 'a-request' }, ['request_id', 'a-request']],
])('what is kept beside an entry of %j is %j while nothing is traced', (named, fields) => {
  expect(originFields({ deadline: Infinity, ...named })).toEqual(fields);
});
