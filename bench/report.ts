import { cpus } from 'node:os';
import { type Measurements, ratioOf, type Sample, type Spread, spreadOf } from './measure.js';
import type { ProcessMemory } from './memory.js';
import type { Options } from './options.js';
import type { Memory } from './proc.js';
import type { Watched, WatchedRound } from './watchers.js';

const KILOBYTE = 1024;
const MEGABYTE = 1024 * KILOBYTE;

/** A Markdown table. Columns after the first are figures. Without rows it is nothing. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const alignment = columns.map((_, position) => (position === 0 ? '---' : '---:'));
  return [columns, alignment, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** What the machine was, and how it was measured. */
export function describeRun({
  rounds,
  seconds,
  watchers,
}: Pick<Options, 'rounds' | 'seconds' | 'watchers'>): string {
  const [processor] = cpus();
  // Where nothing is under load, a round takes as long as it takes.
  const duration = watchers ? '' : ` of ${seconds} s`;
  return `${cpus().length} × ${processor?.model ?? 'unknown processor'}, Node.js ${process.version}, ${rounds} round${rounds === 1 ? '' : 's'}${duration}; the median, and the lowest to the highest round in brackets`;
}

/** What each call of one system costs, beside what `floor` and `ping` cost in the same rounds. */
export function callsTable(measurements: readonly Measurements[], system: string): string {
  return table(
    [
      'call',
      'in flight',
      'calls/s',
      'p50 ms',
      'p99 ms',
      'CPU ms/call',
      'floor calls/s',
      'of the floor',
      'of Redis PING',
    ],
    measurements.flatMap(({ name, inFlight, samples }) => {
      const { [system]: measured, floor, ping } = samples;
      if (!measured) return [];
      return [
        [
          name,
          String(inFlight),
          perSecond(measured),
          ...latencies(measured),
          figure(spreadOf(measured.map(({ cpuMsPerCall }) => cpuMsPerCall)).median),
          floor ? perSecond(floor) : '',
          floor ? spread(ratioOf(measured, floor)) : '',
          ping ? spread(ratioOf(measured, ping)) : '',
        ],
      ];
    }),
  );
}

/** One system beside another, which was measured in the same rounds. */
export function comparisonTable(
  measurements: readonly Measurements[],
  [system, other]: readonly [string, string],
): string {
  return table(
    [
      'call',
      'in flight',
      `${system} calls/s`,
      `${other} calls/s`,
      `${system} / ${other}`,
      'p50 ms',
      'p99 ms',
      'CPU ms/call',
    ],
    measurements.flatMap(({ name, inFlight, samples }) => {
      const { [system]: one, [other]: two } = samples;
      if (!one || !two) return [];
      const both = (value: (sample: Sample) => number) =>
        [one, two].map((each) => figure(spreadOf(each.map(value)).median)).join(' : ');
      return [
        [
          name,
          String(inFlight),
          perSecond(one),
          perSecond(two),
          spread(ratioOf(one, two)),
          both(({ p50Ms }) => p50Ms),
          both(({ p99Ms }) => p99Ms),
          both(({ cpuMsPerCall }) => cpuMsPerCall),
        ],
      ];
    }),
  );
}

/** How a call fares as the data grows, beside the first of `sizes`. */
export function growthTable(measurements: readonly Measurements[], sizes: readonly string[]): string {
  const [smallest = ''] = sizes;
  return table(
    ['call', 'in flight', 'data', 'calls/s', 'p50 ms', 'p99 ms', 'CPU ms/call', `of "${smallest}"`],
    measurements.flatMap(({ name, inFlight, samples }) =>
      sizes.flatMap((size) => {
        const { [size]: measured, [smallest]: small } = samples;
        if (!measured || !small) return [];
        return [
          [
            name,
            String(inFlight),
            size,
            perSecond(measured),
            ...latencies(measured),
            figure(spreadOf(measured.map(({ cpuMsPerCall }) => cpuMsPerCall)).median),
            spread(ratioOf(measured, small)),
          ],
        ];
      }),
    ),
  );
}

/** The memory of each process, and of all together. */
export function memoryTable(processes: readonly ProcessMemory[]): string {
  const columns = [
    ({ idle }: ProcessMemory) => idle.pss,
    ({ idle }: ProcessMemory) => idle.rss,
    ({ loaded }: ProcessMemory) => loaded.pss,
    ({ loaded }: ProcessMemory) => loaded.peakRss,
  ];
  return table(
    ['process', 'idle PSS MB', 'idle RSS MB', 'PSS after load MB', 'peak RSS MB'],
    [
      ...processes.map((each) => [each.name, ...columns.map((column) => megabytes(column(each)))]),
      ['all', ...columns.map((column) => megabytes(processes.reduce((sum, each) => sum + column(each), 0)))],
    ],
  );
}

/** What watchers cost the processes that hold something for them. */
export function watcherMemoryTable(measured: readonly Watched[]): string {
  return table(
    [
      'watchers',
      'process',
      'PSS MB before',
      'PSS MB with them',
      'PSS KB each',
      'RSS MB before',
      'RSS MB with them',
      'RSS KB each',
      'peak RSS MB',
    ],
    measured.flatMap(({ name, watchers, rounds }) =>
      (rounds[0]?.processes ?? []).map(({ name: process }, position) => {
        const ofRounds = (value: (before: Memory, after: Memory) => number) =>
          spreadOf(
            rounds.flatMap(({ processes }) => {
              const memory = processes[position];
              return memory ? [value(memory.before, memory.after)] : [];
            }),
          );
        const costs = (kind: 'pss' | 'rss') => [
          megabytes(ofRounds((before) => before[kind]).median),
          megabytes(ofRounds((_, after) => after[kind]).median),
          spread(ofRounds((before, after) => (after[kind] - before[kind]) / watchers / KILOBYTE)),
        ];
        const peak = megabytes(ofRounds((_, after) => after.peakRss).median);
        return [describeWatchers(name, watchers), process, ...costs('pss'), ...costs('rss'), peak];
      }),
    ),
  );
}

/** How long it took to tell all watchers. */
export function toldTable(measured: readonly Watched[]): string {
  return table(
    ['watchers', 'notifications', 'watchers told', 'ms until the last was'],
    measured.map(({ name, watchers, users, rounds }) => [
      describeWatchers(name, watchers),
      users.toLocaleString('en'),
      spreadOfRounds(rounds, ({ told }) => told),
      spreadOfRounds(rounds, ({ toldAfterMs }) => toldAfterMs),
    ]),
  );
}

function describeWatchers(name: string, watchers: number): string {
  return `${watchers.toLocaleString('en')} × ${name}`;
}

function spreadOfRounds(rounds: readonly WatchedRound[], value: (round: WatchedRound) => number): string {
  return spread(spreadOf(rounds.map(value)));
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(0);
}

function perSecond(samples: readonly Sample[]): string {
  return spread(spreadOf(samples.map((sample) => sample.perSecond)));
}

function latencies(samples: readonly Sample[]): [p50: string, p99: string] {
  return [
    figure(spreadOf(samples.map(({ p50Ms }) => p50Ms)).median),
    figure(spreadOf(samples.map(({ p99Ms }) => p99Ms)).median),
  ];
}

export function spread({ median, min, max }: Spread): string {
  return `${figure(median)} (${figure(min)}–${figure(max)})`;
}

/** Three digits that mean something. */
export function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(value < 0.1 ? 2 : 3)).toString();
}
