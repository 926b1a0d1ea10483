import { readFile } from 'node:fs/promises';

/** What /proc counts time in: fixed at 100 a second towards programs, whatever the kernel's own clock. */
const MS_PER_TICK = 10;

/** The CPU time that a process has used since it started, user and system, with its children that ended. */
export async function readCpuMs(pid: number): Promise<number> {
  const { own, ofChildren } = await readCpuTimes(pid);
  return own + ofChildren;
}

/** The CPU time of the tools that the bench has run to their end. */
export async function readToolsCpuMs(): Promise<number> {
  return (await readCpuTimes(process.pid)).ofChildren;
}

async function readCpuTimes(pid: number): Promise<{ own: number; ofChildren: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, in brackets, may hold blanks; utime, stime, cutime and cstime are fields 14 to 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user = NaN, system = NaN, childrenUser = NaN, childrenSystem = NaN] = fields
    .slice(11, 15)
    .map((ticks) => Number(ticks) * MS_PER_TICK);
  return { own: user + system, ofChildren: childrenUser + childrenSystem };
}

/** The bytes that this machine's processes have sent each other over loopback, headers and all. */
export async function readLoopbackBytes(): Promise<number> {
  const line = /^\s*lo:\s*(\d+)/m.exec(await readFile('/proc/net/dev', 'utf8'));
  if (!line) throw new Error('/proc does not tell what went over loopback');
  return Number(line[1]);
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
