import { setTimeout as sleep } from 'node:timers/promises';

const POLL_INTERVAL_MS = 50;

/** How long to wait, and for what. */
export interface WaitOptions {
  /** What is awaited, for the error's message. */
  what: string;
  /** 10 s unless told. */
  timeoutMs?: number;
}

/**
 * Asks until the answer is neither false nor undefined, and returns it. Tests wait with it for what they need,
 * never for a fixed time.
 *
 * @throws when it takes too long, with the last error where `condition` threw.
 */
export async function waitFor<Value>(
  condition: () => Promise<Value | false | undefined> | Value | false | undefined,
  { what, timeoutMs = 10_000 }: WaitOptions,
): Promise<Value> {
  const giveUpAt = Date.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const value = await condition();
      if (value !== false && value !== undefined) return value;
    } catch (error) {
      cause = error;
    }
    if (Date.now() >= giveUpAt) throw new Error(`${what}: not within ${timeoutMs} ms`, { cause });
    await sleep(POLL_INTERVAL_MS);
  }
}
