import { setTimeout as sleep } from 'node:timers/promises';
import { type Memory, readMemory } from './proc.js';
import type { Measured } from './processes.js';
import { waitUntil } from './wait-until.js';

/** The environment of a Node program whose memory can be settled. */
export const settleable = {
  NODE_OPTIONS: `--import=${new URL('collect-garbage.js', import.meta.url).href}`,
};
/** V8 gives back what its young generation grew by only when little was allocated in the last 5 s. */
const COLLECT_INTERVAL_MS = 6_000;
/** A process is settled when it held about as much this many times in a row. */
const STEADY_READINGS = 3;
const STEADY_BYTES = 2 * 1024 * 1024;

/** What a process holds before and after all load. */
export interface ProcessMemory {
  name: string;
  idle: Memory;
  loaded: Memory;
}

/** Reads the memory of idle processes. What it returns reads it again. */
export async function watchMemory(processes: readonly Measured[]): Promise<() => Promise<ProcessMemory[]>> {
  const idle = await Promise.all(processes.map(async ({ pid }) => readMemory(pid)));
  return async () =>
    Promise.all(
      processes.map(async ({ name, pid }, position) => {
        const loaded = await readMemory(pid);
        return { name, idle: idle[position] ?? loaded, loaded };
      }),
    );
}

/** Has idle processes collect their garbage now and then, until they hold about the same each time. */
export async function readSettledMemory(
  processes: readonly Measured[],
  signal: AbortSignal,
): Promise<Memory[]> {
  const readings: Memory[][] = [];
  await waitUntil(
    'the memory is settled',
    async () => {
      for (const { pid } of processes) process.kill(pid, 'SIGUSR2');
      await sleep(COLLECT_INTERVAL_MS, undefined, { signal });
      readings.push(await Promise.all(processes.map(async ({ pid }) => readMemory(pid))));
      return isSteady(readings);
    },
    signal,
  );
  return readings.at(-1) ?? [];
}

function isSteady(readings: readonly Memory[][]): boolean {
  const latest = readings.slice(-STEADY_READINGS);
  if (latest.length < STEADY_READINGS) return false;
  return (latest[0] ?? []).every((_, position) => {
    const held = latest.map((reading) => reading[position]?.pss ?? NaN);
    return Math.max(...held) - Math.min(...held) < STEADY_BYTES;
  });
}
