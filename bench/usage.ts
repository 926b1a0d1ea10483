import { readCpuMs } from './proc.js';
import type { Measured } from './processes.js';

/** CPU time in milliseconds, by the name of the process. */
export type CpuMs = Record<string, number>;

/** Begins to count the CPU time of processes. What it returns tells what they have used since. */
export async function watchCpu(processes: readonly Measured[]): Promise<() => Promise<CpuMs>> {
  const read = async () => Promise.all(processes.map(async ({ pid }) => readCpuMs(pid)));
  const before = await read();
  return async () => {
    const after = await read();
    return Object.fromEntries(
      processes.map(({ name }, position) => [name, (after[position] ?? NaN) - (before[position] ?? NaN)]),
    );
  };
}
