const FIRST_MS = 1_000;
/** Somebody is waiting. */
const LONGEST_MS = 5_000;

/**
 * How long to wait before trying again, having failed `failures` times. What lost its server together
 * comes back apart: half of it is chance.
 */
export function backoffMs(failures: number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
  return longest * (0.5 + Math.random() / 2);
}
