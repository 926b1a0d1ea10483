import { type Memory, readMemory } from './proc.js';
import type { Measured } from './processes.js';

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
