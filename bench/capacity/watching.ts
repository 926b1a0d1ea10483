import { setTimeout as sleep } from 'node:timers/promises';
import { EventWatchers } from '../drivers/event-watchers.js';
import { GrpcWatchers } from '../drivers/grpc-watchers.js';
import type { Watchers } from '../drivers/watchers.js';
import { readSettledMemory, settleable } from '../memory.js';
import type { Memory } from '../proc.js';
import type { Processes } from '../processes.js';
import { readRedisState } from '../redis-state.js';
import { startSuite, type Suite } from '../systems/suite.js';
import { type CpuMs, watchCpu } from '../usage.js';
import { addWatchers, tellAll } from '../watchers.js';

const WATCHERS = 2_000;
/** They come before anything is measured: the first of each kind takes more. */
const FIRST = 100;
const GRPC_CONNECTIONS = 20;
/** A browser's stream has a heartbeat in as many. */
const REST_SECONDS = 15;
const IDLE_SECONDS = 5;
const WARM_UP_TELLS = 3;
const TELLS = 10;

/** What a watcher costs, in one way to watch. */
export interface WatchingRound {
  /** What each process holds for it, in bytes. */
  memory: { process: string; pss: number; rss: number }[];
  /** What Redis holds for it, in bytes. */
  redisBytes: number;
  /** CPU time to let one in, by process. */
  connectCpuMs: CpuMs;
  /** CPU time in a second in which it is told nothing, by process. */
  restCpuMsPerSecond: CpuMs;
  /** CPU time until one notification is shown to one of them, by process. */
  shownCpuMs: CpuMs;
}

/** One way to watch, and what it cost in each round. */
export interface Watching {
  name: string;
  /** How many watch each user. */
  watchersPerUser: number;
  rounds: WatchingRound[];
}

const plans = [
  {
    name: 'WatchNotifications',
    users: WATCHERS,
    holders: ['frontend_service_grpc'],
    createWatchers: ({ addresses }: Suite): Watchers =>
      new GrpcWatchers(addresses.frontend_service_grpc, GRPC_CONNECTIONS),
  },
  {
    name: 'GET /api/events',
    // Each has to log in, and may have 20 streams.
    users: WATCHERS / 20,
    holders: ['frontend_service_api', 'frontend_service_grpc'],
    createWatchers: ({ addresses }: Suite): Watchers => new EventWatchers(addresses.frontend_service_api),
  },
];

/** Measures what watchers take to come, to be there, and to be told. Each round is on a fresh suite. */
export async function measureWatching(
  processes: Processes,
  rounds: number,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Watching[]> {
  const measured = plans.map((plan) => {
    const watching: Watching = { name: plan.name, watchersPerUser: WATCHERS / plan.users, rounds: [] };
    return { plan, watching };
  });
  for (let round = 1; round <= rounds; round++) {
    for (const { plan, watching } of measured) {
      say(`${WATCHERS} × ${plan.name}, round ${round}`);
      watching.rounds.push(await measureRound(plan, processes, signal));
    }
  }
  return measured.map(({ watching }) => watching);
}

async function measureRound(
  { users, holders, createWatchers }: (typeof plans)[number],
  processes: Processes,
  signal: AbortSignal,
): Promise<WatchingRound> {
  const own = await processes.createOthers();
  let crowd: Watchers | undefined;
  try {
    // Logging in is measured elsewhere; here it is to be over soon.
    const suite = await startSuite('suite', own, signal, {
      environment: { ...settleable, BCRYPT_COST: '10' },
    });
    const redis = own.connect(suite.redis, 0);
    const measured = suite.processes.filter(({ name }) => holders.includes(name));
    crowd = createWatchers(suite);
    const first = await addWatchers(crowd, { count: FIRST, users }, signal);

    const before = await readSettledMemory(measured, signal);
    const { usedBytes } = await readRedisState(redis);
    const idle = await readPerSecond(suite, IDLE_SECONDS, signal);

    const readConnectCpu = await watchCpuBesides(suite, idle);
    const others = await addWatchers(crowd, { count: WATCHERS - FIRST, users, firstUser: FIRST }, signal);
    const connectCpu = await readConnectCpu();
    const after = await readSettledMemory(measured, signal);
    const usedAfter = (await readRedisState(redis)).usedBytes;

    const rest = await readPerSecond(suite, REST_SECONDS, signal);
    const watchers = [...first, ...others];
    for (let tell = 0; tell < WARM_UP_TELLS; tell++) await tellAll(watchers, users, suite, signal);
    const readShownCpu = await watchCpuBesides(suite, rest);
    for (let tell = 0; tell < TELLS; tell++) await tellAll(watchers, users, suite, signal);
    const shownCpu = await readShownCpu();
    const restCpu = mapCpu(rest, (ms, process) => ms - (idle[process] ?? NaN));
    return {
      memory: measured.map(({ name }, position) => ({
        process: name,
        pss: difference(before[position], after[position], 'pss') / others.length,
        rss: difference(before[position], after[position], 'rss') / others.length,
      })),
      redisBytes: (usedAfter - usedBytes) / others.length,
      connectCpuMs: divide(connectCpu, others.length),
      restCpuMsPerSecond: divide(restCpu, others.length),
      shownCpuMs: divide(shownCpu, WATCHERS * TELLS),
    };
  } finally {
    crowd?.close();
    await own.stop();
  }
}

function difference(before: Memory | undefined, after: Memory | undefined, kind: 'pss' | 'rss'): number {
  return (after?.[kind] ?? NaN) - (before?.[kind] ?? NaN);
}

/** What each process uses in a second in which nobody asks for anything. */
async function readPerSecond({ processes }: Suite, seconds: number, signal: AbortSignal): Promise<CpuMs> {
  const read = await watchCpu(processes);
  await sleep(seconds * 1_000, undefined, { signal });
  return mapCpu(await read(), (ms) => ms / seconds);
}

/** Begins to count CPU time, besides what is used in each second anyway. */
async function watchCpuBesides({ processes }: Suite, perSecond: CpuMs): Promise<() => Promise<CpuMs>> {
  const startedAt = performance.now();
  const read = await watchCpu(processes);
  return async () => {
    const used = await read();
    const seconds = (performance.now() - startedAt) / 1_000;
    return mapCpu(used, (ms, process) => ms - seconds * (perSecond[process] ?? NaN));
  };
}

/** What is less than nothing is none. */
function divide(cpuMs: CpuMs, count: number): CpuMs {
  return mapCpu(cpuMs, (ms) => Math.max(ms / count, 0));
}

function mapCpu(cpuMs: CpuMs, change: (ms: number, process: string) => number): CpuMs {
  return Object.fromEntries(Object.entries(cpuMs).map(([process, ms]) => [process, change(ms, process)]));
}
