import { beforeAll, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { redis, sendMessage, signUp } from '../helpers/clients.js';
import { parseJson, utcTimestamp } from '../helpers/expectations.js';
import { waitFor } from '../helpers/wait-for.js';

const email = z.string().regex(/^[^:\s]+@[^:\s]+$/);
const user = z.looseObject({ name: z.string(), email, password: z.string().startsWith('$2') });
const message = z.strictObject({
  id: z.int(),
  sender_email: email,
  receiver_email: email,
  content: z.string().min(1),
  timestamp: utcTimestamp,
});
const metadata = z.looseObject({
  last_message_id: z.string().regex(/^[1-9]\d*$/),
  last_timestamp: utcTimestamp,
  message_count: z.string().regex(/^[1-9]\d*$/),
});
const notification = z.looseObject({
  sender_email: z.string(),
  receiver_email: z.string(),
  timestamp: utcTimestamp,
  read: z.boolean(),
});

async function expectAccount(key: string): Promise<void> {
  expect(key).toBe(`users:${parseJson(user, await redis(0).get(key)).email}`);
}

async function expectMessage(key: string): Promise<void> {
  expect(key).toBe(`message:${parseJson(message, await redis(1).get(key)).id}`);
}

async function expectDirection(key: string): Promise<void> {
  const [, sender, receiver, ...more] = key.split(':');
  expect([email.parse(sender), email.parse(receiver), ...more]).toHaveLength(2);
  const { last_message_id } = metadata.parse(await redis(1).hgetall(key));
  const last = parseJson(message, await redis(1).get(`message:${last_message_id}`));
  expect(last).toMatchObject({ sender_email: sender, receiver_email: receiver });
}

async function expectPartners(key: string): Promise<void> {
  const [, owner, ...more] = key.split(':');
  expect([email.parse(owner), ...more]).toStrictEqual([owner, 'conversations']);
  for (const partner of await redis(1).smembers(key)) {
    const directions = [`conversation:${owner}:${partner}`, `conversation:${partner}:${owner}`];
    expect(await redis(1).exists(directions), key).toBeGreaterThan(0);
  }
}

async function expectNotifications(key: string): Promise<void> {
  for (const text of await redis(2).lrange(key, 0, -1)) {
    expect(key).toBe(`notifications:${parseJson(notification, text).receiver_email}`);
  }
}

/** What scripts find when they scan: each pattern, where its keys are, and what a key of it must be. */
const patterns = [
  { pattern: 'users:*', database: 0, type: 'string', expectContent: expectAccount },
  { pattern: 'message:*', database: 1, type: 'string', expectContent: expectMessage },
  { pattern: 'conversation:*', database: 1, type: 'hash', expectContent: expectDirection },
  { pattern: 'user:*:conversations', database: 1, type: 'set', expectContent: expectPartners },
  { pattern: 'notifications:*', database: 2, type: 'list', expectContent: expectNotifications },
] as const;

beforeAll(async () => {
  const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
  await sendMessage(alice.email, bob.email);
  await waitFor(async () => (await redis(2).exists(`notifications:${bob.email}`)) === 1, {
    what: 'a notification is stored',
  });
});

it.each(patterns)(
  'every key that matches $pattern is what the contract says',
  async ({ pattern, database, type, expectContent }) => {
    const keys = await redis(database).keys(pattern);
    expect(keys).not.toHaveLength(0);
    const types = await Promise.all(keys.map((key) => redis(database).type(key)));
    expect(new Set(types.filter((found) => found !== 'none'))).toStrictEqual(new Set([type]));
    // Other tests delete meanwhile, also between two reads of one check.
    const check = async (key: string) => {
      if ((await redis(database).exists(key)) === 1) await expectContent(key);
    };
    await Promise.all(keys.map(async (key) => vi.waitFor(async () => check(key), { timeout: 20_000 })));
  },
);

it.each(patterns)('no other database has a key that matches $pattern', async ({ pattern, database }) => {
  for (const other of ([0, 1, 2] as const).filter((number) => number !== database)) {
    expect(await redis(other).keys(pattern)).toStrictEqual([]);
  }
});
