import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from './options.js';

const POLL_INTERVAL_MS = 20;

/** Asks until the answer is true. @throws {BenchError} when that takes longer than a minute. */
export async function waitUntil(
  what: string,
  condition: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  const giveUpAt = Date.now() + 60_000;
  while (!(await condition())) {
    signal.throwIfAborted();
    if (Date.now() > giveUpAt) throw new BenchError(`not within a minute: ${what}`);
    await sleep(POLL_INTERVAL_MS);
  }
}
