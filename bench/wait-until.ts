import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from './options.js';

const POLL_INTERVAL_MS = 20;

/** Asks until the answer is true. @throws {BenchError} when that takes too long. */
export async function waitUntil(
  what: string,
  condition: () => Promise<boolean>,
  signal: AbortSignal,
  timeoutMs = 60_000,
): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs;
  while (!(await condition())) {
    signal.throwIfAborted();
    if (Date.now() > giveUpAt) throw new BenchError(`not within ${timeoutMs} ms: ${what}`);
    await sleep(POLL_INTERVAL_MS);
  }
}
