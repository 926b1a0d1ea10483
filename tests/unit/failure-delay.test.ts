import { randomUUID } from 'node:crypto';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { FailureDelay } from '@messaging/service_kit/redis/rate-limits';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { connectToRedis } from '../helpers/redis-connection.js';

/** None of the suite's. */
const DATABASE = 9;
const FREE = 2;
const KEY = 'alice@example.com';

let connection: RedisConnection;
let delay: FailureDelay;

beforeEach(async () => {
  connection = await connectToRedis(inject('redis'), DATABASE);
  delay = new FailureDelay(connection, `test:${randomUUID()}`, FREE, 900);
});

afterEach(async () => connection.stop());

test('attempts that are withdrawn after all were forgotten are no credit for later ones', async () => {
  for (let attempt = 0; attempt < FREE; attempt++) await delay.begin(KEY);
  await delay.forget(KEY);
  await Promise.all(Array.from({ length: 50 }, async () => delay.withdraw(KEY)));

  // As many as were free at first, and the one after which there is a wait.
  for (let attempt = 0; attempt < FREE + 1; attempt++) await delay.begin(KEY);
  await expect(delay.begin(KEY)).rejects.toMatchObject({ kind: 'tooMany' });
});

test('one that comes too soon makes the wait no longer', async () => {
  for (let attempt = 0; attempt < FREE + 2; attempt++) {
    await delay.begin(KEY);
    await endPause();
  }
  await delay.begin(KEY);
  const refused = await Promise.all(
    Array.from({ length: 20 }, async () => delay.begin(KEY).catch((error: unknown) => error)),
  );
  for (const error of refused) expect(error).toMatchObject({ kind: 'tooMany' });
  await endPause();
  await delay.begin(KEY);
  // The fourth wait is of 8 seconds.
  const error: unknown = await delay.begin(KEY).catch((thrown: unknown) => thrown);
  expect(error).toHaveProperty(
    'retryAfterSeconds',
    expect.toSatisfy((seconds) => seconds > 4 && seconds <= 8),
  );
});

/** Ends the wait under way, as time would. */
async function endPause(): Promise<void> {
  for (const pause of await connection.client.keys('limit:test:*:pause:*'))
    await connection.client.del(pause);
}
