import { randomBytes } from 'node:crypto';
import getPort from 'get-port';
import type { Processes } from '../processes.js';
import { readRedisState } from '../redis-state.js';
import { Seed } from '../seed.js';
import { CONTENT_BYTES } from './chain.js';

/** What one more of something takes, in bytes. */
export interface Stored {
  memory: number;
  /** In an append-only file that has just been rewritten. */
  file: number;
}

/** What is stored, a kind at a time. */
export type StorageFigures = Record<keyof typeof kinds, Stored>;

const MANY = 5_000;
const LONG = 2_000;
const LONG_PAIRS = 10;
const LONG_CONTENT_BYTES = 1_000;
/** As long as a hash by bcrypt, and as hard to compress. */
const HASH = randomBytes(45).toString('base64');

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, position) => `${prefix}-${position}@example.com`);
const longPairs = names('one', LONG_PAIRS).map((one, position): [string, string] => [
  one,
  `other-${position}@example.com`,
]);
const sendLong =
  (contentBytes: number, hasRequestIds = false) =>
  async (seed: Seed): Promise<void> => {
    for (const pair of longPairs) await seed.addMessages(pair, LONG, { contentBytes, hasRequestIds });
  };

/** In the order in which they are stored, and how many of each. */
const kinds = {
  user: { count: MANY, store: async (seed: Seed) => seed.addUsers(names('user', MANY), HASH) },
  subscription: { count: MANY, store: async (seed: Seed) => seed.addSubscriptions(names('user', MANY)) },
  firstMessage: {
    count: MANY,
    store: async (seed: Seed) => {
      for (const email of names('user', MANY)) {
        await seed.addMessages([email, `to-${email}`], 1, { contentBytes: CONTENT_BYTES });
      }
    },
  },
  /** So that what comes next adds to long mailboxes alone. */
  longMailboxes: { count: LONG_PAIRS * LONG, store: sendLong(CONTENT_BYTES) },
  message: { count: LONG_PAIRS * LONG, store: sendLong(CONTENT_BYTES) },
  longMessage: { count: LONG_PAIRS * LONG, store: sendLong(LONG_CONTENT_BYTES) },
  messageWithRequestId: { count: LONG_PAIRS * LONG, store: sendLong(CONTENT_BYTES, true) },
  firstNotification: {
    count: MANY,
    store: async (seed: Seed) => {
      for (const [position, email] of names('user', MANY).entries()) {
        await seed.addNotifications([`from-${email}`, email], 1, position + 1);
      }
    },
  },
  longLists: { count: LONG_PAIRS * LONG, store: async (seed: Seed) => notifyLong(seed, 100_000) },
  notification: { count: LONG_PAIRS * LONG, store: async (seed: Seed) => notifyLong(seed, 200_000) },
};

async function notifyLong(seed: Seed, firstMessage: number): Promise<void> {
  for (const [position, pair] of longPairs.entries()) {
    await seed.addNotifications(pair, LONG, firstMessage + position * LONG);
  }
}

/** Stores some thousands of each kind with the services' own stores, and sees what a Redis takes for them. */
export async function measureStorage(
  processes: Processes,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<StorageFigures> {
  const redis = await processes.startDurableRedis('redis of the stores', await getPort());
  const client = processes.connect(redis, 0);
  const measure = async (kind: keyof typeof kinds): Promise<Stored> => {
    const { count, store } = kinds[kind];
    const before = await readRedisState(client);
    await Seed.run(redis, signal, store);
    const after = await readRedisState(client);
    const stored = {
      memory: (after.usedBytes - before.usedBytes) / count,
      file: (after.fileBytes - before.fileBytes) / count,
    };
    say(`${kind}: ${stored.memory.toFixed(0)} bytes in memory, ${stored.file.toFixed(0)} in the file`);
    return stored;
  };
  // The scripts and the connections take something once.
  await Seed.run(redis, signal, async (seed) => {
    await seed.addUsers(['first@example.com']);
    await seed.addMessages(['first@example.com', 'second@example.com'], 1);
    await seed.addNotifications(['first@example.com', 'second@example.com'], 1);
  });
  return {
    user: await measure('user'),
    subscription: await measure('subscription'),
    firstMessage: await measure('firstMessage'),
    longMailboxes: await measure('longMailboxes'),
    message: await measure('message'),
    longMessage: await measure('longMessage'),
    messageWithRequestId: await measure('messageWithRequestId'),
    firstNotification: await measure('firstNotification'),
    longLists: await measure('longLists'),
    notification: await measure('notification'),
  };
}
