import type { Check } from './checks.js';
import type { Load, LoadResult } from './drivers/load.js';
import type { Options } from './options.js';
import { readToolsCpuMs } from './proc.js';
import type { Measured } from './processes.js';
import { type CpuMs, watchCpu } from './usage.js';

/** Nothing is warmed up for longer, however slow it is. */
const WARM_UP_LIMIT_MS = 10_000;
const WARM_UP_STEP_SECONDS = 1;
const LATE_MS = 100;

/** One of the systems that a row compares. */
export interface Target {
  name: string;
  load: Load;
  /** Whose CPU time the calls are charged with. */
  processes: readonly Measured[];
  check?: Check;
  /** Reads what else the calls add to, by name. */
  readMeters?: () => Promise<Record<string, number>>;
}

/** Something to measure on several systems, at each of these numbers of calls in flight. */
export interface Comparison {
  name: string;
  inFlight: readonly number[];
  targets: readonly Target[];
}

/** One measurement. */
export interface Sample extends LoadResult {
  perSecond: number;
  cpuMsPerCall: number;
  /** The same for each of the target's processes, by its name. */
  cpuMsByProcess: CpuMs;
  /** What a call adds to each of the target's meters. */
  meters: Record<string, number>;
  /** What a call costs the load generator. */
  loadCpuMsPerCall: number;
  /** How long after the last answer all that follows from the calls was done. */
  settledAfterMs: number;
}

/** The measurements of a comparison at one number of calls in flight: for each target one a round. */
export interface Measurements {
  name: string;
  inFlight: number;
  samples: Record<string, Sample[]>;
}

/** A middle, and how far apart the rounds were. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Measures the targets in turn, so that what disturbs the machine for a while disturbs them all. */
export async function measureInRounds(
  { name, inFlight: levels, targets }: Comparison,
  options: Pick<Options, 'rounds' | 'seconds' | 'warm-up'>,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Measurements[]> {
  say(`${name}: warming up`);
  for (const target of targets) {
    // V8 takes its time when calls come one by one, and compiles other code than under load.
    for (const level of new Set([1, ...levels])) await warmUp(target, level, options['warm-up'], signal);
  }

  const measured: Measurements[] = [];
  for (const inFlight of levels) {
    const samples: Record<string, Sample[]> = {};
    for (let round = 1; round <= options.rounds; round++) {
      const figures: string[] = [];
      for (const target of targets) {
        const sample = await measure(target, inFlight, options.seconds, signal);
        (samples[target.name] ??= []).push(sample);
        figures.push(describeSample(target.name, sample));
      }
      say(`${name}, ${inFlight} in flight, round ${round}: ${figures.join(', ')}`);
    }
    measured.push({ name, inFlight, samples });
  }
  return measured;
}

/** Work that goes on after the answers is no part of calls/s, so it must not go unseen. */
function describeSample(name: string, { perSecond, settledAfterMs }: Sample): string {
  const settled = settledAfterMs < LATE_MS ? '' : ` (all was done ${settledAfterMs.toFixed(0)} ms later)`;
  return `${name} ${perSecond.toFixed(0)}/s${settled}`;
}

async function warmUp(target: Target, inFlight: number, calls: number, signal: AbortSignal): Promise<void> {
  const giveUpAt = Date.now() + WARM_UP_LIMIT_MS;
  for (let done = 0; done < calls && Date.now() < giveUpAt;) {
    done += (await measure(target, inFlight, WARM_UP_STEP_SECONDS, signal)).calls;
  }
}

async function measure(
  { name, load, processes, check, readMeters = async () => ({}) }: Target,
  inFlight: number,
  seconds: number,
  signal: AbortSignal,
): Promise<Sample> {
  signal.throwIfAborted();
  try {
    const pending = await check?.begin();
    const metersBefore = await readMeters();
    const loadBefore = await readToolsCpuMs();
    const readCpu = await watchCpu(processes);
    const result = await load.run(inFlight, seconds, signal);
    const answeredAt = performance.now();
    await pending?.settle?.(result, signal);
    const settledAfterMs = performance.now() - answeredAt;
    const cpuMs = Object.entries(await readCpu());
    const loadCpuMs = (await readToolsCpuMs()) - loadBefore;
    const meters = Object.entries(await readMeters()).map(([meter, value]): [string, number] => [
      meter,
      (value - (metersBefore[meter] ?? NaN)) / result.calls,
    ]);
    await pending?.verify?.(result);
    return {
      ...result,
      perSecond: result.calls / result.seconds,
      cpuMsPerCall: cpuMs.reduce((sum, [, ms]) => sum + ms, 0) / result.calls,
      cpuMsByProcess: Object.fromEntries(cpuMs.map(([process, ms]) => [process, ms / result.calls])),
      meters: Object.fromEntries(meters),
      loadCpuMsPerCall: loadCpuMs / result.calls,
      settledAfterMs,
    };
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(`${name} could not be measured`, { cause: error });
  }
}

/** The middle of a figure over the rounds. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((one, other) => one - other);
  const [low, high] = [Math.floor((sorted.length - 1) / 2), Math.ceil((sorted.length - 1) / 2)];
  return {
    median: ((sorted[low] ?? NaN) + (sorted[high] ?? NaN)) / 2,
    min: sorted[0] ?? NaN,
    max: sorted.at(-1) ?? NaN,
  };
}

/** How many times the throughput of `other` a target has: round by round, as only those are neighbours in time. */
export function ratioOf(one: readonly Sample[], other: readonly Sample[]): Spread {
  return spreadOf(one.map(({ perSecond }, round) => perSecond / (other[round]?.perSecond ?? NaN)));
}
