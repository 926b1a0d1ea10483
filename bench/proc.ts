import { readFile } from 'node:fs/promises';

/** What /proc counts time in: fixed at 100 a second towards programs, whatever the kernel's own clock. */
const MS_PER_TICK = 10;

/** The CPU time that processes have used since they started, user and system, with their children that ended. */
export async function readCpuMs(pids: readonly number[]): Promise<number> {
  const times = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      // The name, in brackets, may hold blanks; utime, stime, cutime and cstime are fields 14 to 17.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * MS_PER_TICK, 0);
    }),
  );
  return times.reduce((sum, time) => sum + time, 0);
}

/** A process's memory in bytes. */
export interface Memory {
  /** What it holds now; pages shared by n processes count as 1/n in each. */
  pss: number;
  /** What it holds now; shared pages count in full. */
  rss: number;
  /** The most that `rss` ever was. */
  peakRss: number;
}

export async function readMemory(pid: number): Promise<Memory> {
  const [rollup, status] = await Promise.all([
    readFile(`/proc/${pid}/smaps_rollup`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
  ]);
  return {
    pss: findBytes(rollup, 'Pss'),
    rss: findBytes(rollup, 'Rss'),
    peakRss: findBytes(status, 'VmHWM'),
  };
}

function findBytes(text: string, name: string): number {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (kilobytes === undefined) throw new Error(`/proc does not tell ${name}`);
  return Number(kilobytes) * 1024;
}
