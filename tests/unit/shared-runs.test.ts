import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import * as fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { NewMessage } from '../../message_service/dist/domain/message.js';
import { MessageStore, type Tenures } from '../../message_service/dist/store/message-store.js';
import { notificationRecord } from '../../notification_service/dist/domain/notification.js';
import { NotificationStore } from '../../notification_service/dist/store/notification-store.js';
import { connectToRedis } from '../helpers/redis-connection.js';
import { Suite } from '../helpers/suite.js';

const context = { deadline: Infinity };
const START = Date.parse('2026-01-01T00:00:00.000Z');
/** What one run handles at the most, so that all of it is one. */
const MOST = 64;

let suite: Suite;
let connection: RedisConnection;
let messages: MessageStore;

beforeAll(async () => {
  suite = await Suite.start({ processes: [] });
  connection = await connectToRedis(suite.redis, 0);
  messages = new MessageStore(connection);
});

afterAll(async () => {
  await connection.stop();
  await suite.stop();
});

beforeEach(() => connection.client.flushdb());

/**
 * Every key with what it holds and whether that expires. Of a stream's entries, their ids are times, and those that are for different
 * receivers have no order.
 */
async function readAll(client: Redis): Promise<[key: string, value: unknown, expires: boolean][]> {
  const keys = (await client.keys('*')).toSorted();
  return Promise.all(
    keys.map(async (key) => [key, await readValue(client, key), (await client.ttl(key)) > 0]),
  );
}

async function readValue(client: Redis, key: string): Promise<unknown> {
  const type = await client.type(key);
  switch (type) {
    case 'string':
      return client.get(key);
    case 'hash':
      return client.hgetall(key);
    case 'list':
      return client.lrange(key, 0, -1);
    case 'set':
      return (await client.smembers(key)).toSorted();
    case 'zset':
      return client.zrange(key, '0', '-1', 'WITHSCORES');
    case 'stream':
      return sortByReceiver((await client.xrange(key, '-', '+')).map(([, fields]) => fields));
    default:
      throw new Error(`${key} is a ${type}`);
  }
}

function receiverOf(fields: string[]): string {
  return /"(?:receiver_email|ends_watches_of)":"([^"]*)/.exec(fields.join())?.[1] ?? '';
}

function sortByReceiver(entries: string[][]): string[][] {
  return entries.toSorted((one, other) => receiverOf(one).localeCompare(receiverOf(other)));
}

function withoutEntryId(outcome: object): object {
  return { ...outcome, entryId: undefined };
}

/** What comes of it where each item has a run of its own, and where all share one. */
async function storeBothWays<Item>(
  items: readonly Item[],
  prepare: (client: Redis) => Promise<unknown>,
  store: (item: Item, index: number) => Promise<object>,
) {
  const { client } = connection;
  const started = async () => {
    await client.flushdb();
    await prepare(client);
  };

  await started();
  const alone: object[] = [];
  for (const [index, item] of items.entries()) alone.push(withoutEntryId(await store(item, index)));
  const storedAlone = await readAll(client);

  await started();
  await client.config('RESETSTAT');
  const shared = (await Promise.all(items.map(store))).map(withoutEntryId);
  expect(await client.info('commandstats')).toMatch(/^cmdstat_evalsha:calls=1,/m);
  return {
    alone: { outcomes: alone, stored: storedAlone },
    shared: { outcomes: shared, stored: await readAll(client) },
  };
}

const email = fc.constantFrom<string>('a@example.com', 'b@example.com', 'c@example.com');
/** Mostly the same one: addresses rarely change hands. */
const tenure = fc.constantFrom<string>('5', '5', '5', '5', '5', '', '4', '6');

const message = fc.record({
  senderEmail: email,
  receiverEmail: email,
  content: fc.constantFrom('one', 'another'),
  requestId: fc.constantFrom(undefined, undefined, undefined, 'first', 'second'),
  tenures: fc.record({ sender: tenure, receiver: tenure }),
});

interface Sent extends NewMessage {
  tenures: Tenures;
}
const addMessage = async ({ tenures, ...item }: Sent, index: number) =>
  messages.addMessage(item, tenures, new Date(START + index), context);

describe('messages that share a run', () => {
  test('are stored, refused and known again as they are one by one, whoever has the addresses', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: MOST, size: 'max' }), async (items) => {
        const { alone, shared } = await storeBothWays(items, async () => {}, addMessage);
        expect(shared).toEqual(alone);
      }),
      { numRuns: 100 },
    );
  });

  test('pass over ids that are taken, should the counter be lost', async () => {
    const { client } = connection;
    await client.mset('message:2', 'taken', 'message:70', 'taken');
    const item = {
      senderEmail: 'a@example.com',
      receiverEmail: 'b@example.com',
      content: 'hello',
      requestId: undefined,
    };
    const outcomes = await Promise.all(
      Array.from({ length: MOST }, async (_, index) =>
        addMessage({ ...item, tenures: { sender: '0', receiver: '0' } }, index),
      ),
    );
    const ids = outcomes.map((outcome) => outcome.result === 'stored' && outcome.messageId);
    expect(new Set(ids).size).toBe(MOST);
    expect(await client.mget('message:2', 'message:70')).toEqual(['taken', 'taken']);
    expect(await client.zrange('mailbox:a@example.com', '0', '-1')).toEqual(ids);
    expect(await client.get('message_id_counter')).toBe(ids.at(-1));
  });

  test('fail alone where keys hold something else', async () => {
    const { client } = connection;
    await client.set('mailbox:c@example.com', 'not ours');
    const sends = ['b', 'c', 'b'].map((name) => ({
      senderEmail: 'a@example.com',
      receiverEmail: `${name}@example.com`,
      content: 'hello',
      requestId: undefined,
      tenures: { sender: '0', receiver: '0' },
    }));
    const outcomes = await Promise.allSettled(sends.map(addMessage));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await client.zrange('mailbox:a@example.com', '0', '-1')).toEqual(['1', '2']);
    expect(await client.xlen('outbox:notify')).toBe(2);
  });
});

const notification = fc.record({
  receiver_email: email,
  tenure,
  message_id: fc.option(fc.integer({ min: 1, max: 20 }).map(String), { nil: undefined }),
});
type Notified = typeof notification extends fc.Arbitrary<infer Value> ? Value : never;

/** Adds notifications that came from a time on, a millisecond each, where that much is kept. */
function addNotifications(notificationsKept: number, notificationMaxAgeDays: number, from: number) {
  const store = new NotificationStore(connection, { notificationsKept, notificationMaxAgeDays });
  return async ({ tenure: of, ...item }: Notified, index: number) =>
    store.addUnlessUnsubscribed(
      {
        sender_email: 'd@example.com',
        timestamp: new Date(from + index).toISOString(),
        read: false,
        ...item,
      },
      of,
      context,
    );
}

/** One has unsubscribed, and one has many that are too old. */
async function prepareReceivers(client: Redis): Promise<void> {
  const subscription = { user_email: 'c@example.com', subscribed: false };
  await client.hset('subscriptions', subscription.user_email, JSON.stringify(subscription));
  const old = Array.from({ length: 95 }, (_, index) => ({
    receiver_email: 'a@example.com',
    tenure: '5',
    message_id: `old ${index}`,
  }));
  await Promise.all(old.map(addNotifications(1_000, 1_000_000, START)));
}

/** The ids of those that a user has not read, and of all that are listed, the oldest first. */
async function readIds(client: Redis, receiver: string) {
  const records = await client.lrange(`notifications:${receiver}`, 0, -1);
  return {
    unread: await client.zrange(`unread_notifications:${receiver}`, '0', '-1'),
    listed: records.map((record) => notificationRecord.parse(JSON.parse(record)).id).toReversed(),
  };
}

describe('notifications that share a run', () => {
  // What came in a run is not dropped in it with these: one by one, its repeat would be new.
  test.each([
    { kept: MOST, days: 1_000_000 },
    { kept: 100, days: 1 },
  ])(
    'are stored, refused, known again and dropped as they are one by one: $kept, $days days',
    async (limits) => {
      const now = Date.now();
      await fc.assert(
        fc.asyncProperty(
          fc.array(notification, { minLength: 1, maxLength: MOST, size: 'max' }),
          async (items) => {
            const { alone, shared } = await storeBothWays(
              items,
              prepareReceivers,
              addNotifications(limits.kept, limits.days, now),
            );
            expect(shared).toEqual(alone);
            const { unread, listed } = await readIds(connection.client, 'a@example.com');
            expect(unread).toEqual(listed);
          },
        ),
        { numRuns: 50 },
      );
    },
  );
});
