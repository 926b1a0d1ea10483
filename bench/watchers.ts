import { Client, credentials } from '@grpc/grpc-js';
import type { ProcessName } from '#scripts/suite';
import { EventWatchers } from './drivers/event-watchers.js';
import { GrpcWatchers } from './drivers/grpc-watchers.js';
import type { Watcher, Watchers } from './drivers/watchers.js';
import { callUnary } from './grpc-call.js';
import { readSettledMemory, settleable } from './memory.js';
import { BenchError, chooseByName, type Options } from './options.js';
import type { Memory } from './proc.js';
import type { Processes } from './processes.js';
import { notificationService } from './protos.js';
import { toldTable, watcherMemoryTable } from './report.js';
import { startSuite, type Suite } from './systems/suite.js';
import { waitUntil } from './wait-until.js';

const WATCHERS = 2_000;
/** One user may have 20 watches. */
const USERS = 100;
const GRPC_CONNECTIONS = 20;
/** How many begin to watch at once. */
const GROUP = 50;
const CALL_TIMEOUT_MS = 60_000;

/** A way to watch. */
interface Plan {
  name: string;
  /** The processes that hold something for each watcher. */
  holders: readonly ProcessName[];
  createWatchers: (suite: Suite) => Watchers;
}

const plans: readonly Plan[] = [
  {
    name: 'WatchNotifications',
    holders: ['frontend_service_grpc'],
    createWatchers: ({ addresses }) => new GrpcWatchers(addresses.frontend_service_grpc, GRPC_CONNECTIONS),
  },
  {
    name: 'GET /api/events',
    // What the REST door tells, it watches at the gRPC door.
    holders: ['frontend_service_api', 'frontend_service_grpc'],
    createWatchers: ({ addresses }) => new EventWatchers(addresses.frontend_service_api),
  },
];

/** What one way to watch cost. */
export interface Watched {
  name: string;
  watchers: number;
  users: number;
  rounds: WatchedRound[];
}

export interface WatchedRound {
  processes: { name: string; before: Memory; after: Memory }[];
  /** How many watchers were told of their user's notification. */
  told: number;
  /** From the first notification's creation until the last watcher had its own. */
  toldAfterMs: number;
}

/** Measures what idle watchers cost in memory. Each time on a fresh suite: a process keeps much of what it once took. */
export async function runWatchers(
  processes: Processes,
  options: Options,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<{ markdown: string; json: unknown }> {
  const measured = chooseByName(plans, options.filter).map((plan) => {
    const watched: Watched = { name: plan.name, watchers: WATCHERS, users: USERS, rounds: [] };
    return { plan, watched };
  });
  for (let round = 1; round <= options.rounds; round++) {
    for (const { plan, watched } of measured) {
      say(`${plan.name}, round ${round}`);
      const result = await measureRound(plan, processes, signal);
      watched.rounds.push(result);
      say(`${plan.name}, round ${round}: ${describeRound(result)}`);
    }
  }
  const watchers = measured.map(({ watched }) => watched);
  return { markdown: `${watcherMemoryTable(watchers)}\n\n${toldTable(watchers)}`, json: { watchers } };
}

async function measureRound(
  { holders, createWatchers }: Plan,
  processes: Processes,
  signal: AbortSignal,
): Promise<WatchedRound> {
  const own = await processes.createOthers();
  let crowd: Watchers | undefined;
  try {
    const suite = await startSuite('suite', own, signal, { environment: settleable });
    const measured = suite.processes.filter(({ name }) => holders.some((holder) => holder === name));
    const before = await readSettledMemory(measured, signal);
    crowd = createWatchers(suite);
    const watchers = await addWatchers(crowd, { count: WATCHERS, users: USERS }, signal);
    const after = await readSettledMemory(measured, signal);
    const toldAfterMs = await tellAll(watchers, USERS, suite, signal);
    return {
      processes: measured.flatMap(({ name }, position) => {
        const [one, other] = [before[position], after[position]];
        return one && other ? [{ name, before: one, after: other }] : [];
      }),
      told: watchers.filter(isTold).length,
      toldAfterMs,
    };
  } finally {
    crowd?.close();
    await own.stop();
  }
}

/**
 * Has `count` watchers begin, a group at a time, and waits until all are served.
 *
 * @param users how many users take turns, from `firstUser` on
 */
export async function addWatchers(
  crowd: Watchers,
  { count, users, firstUser = 0 }: { count: number; users: number; firstUser?: number },
  signal: AbortSignal,
): Promise<Watcher[]> {
  const watchers: Watcher[] = [];
  while (watchers.length < count) {
    const group = await Promise.all(
      Array.from({ length: Math.min(GROUP, count - watchers.length) }, async (_, position) =>
        crowd.add(emailOf((firstUser + watchers.length + position) % users)),
      ),
    );
    watchers.push(...group);
    await waitUntil(
      'all watchers are served',
      async () => areAll(watchers, ({ isServed }) => isServed),
      signal,
    );
  }
  return watchers;
}

/**
 * Creates one notification for each user, and waits until each watcher has it.
 *
 * @returns how long that took.
 * @throws {BenchError} when a watcher gets anything else.
 */
export async function tellAll(
  watchers: readonly Watcher[],
  users: number,
  { addresses }: Suite,
  signal: AbortSignal,
): Promise<number> {
  for (const { arrivals } of watchers) arrivals.length = 0;
  const client = new Client(addresses.notification_service_grpc, credentials.createInsecure());
  try {
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + CALL_TIMEOUT_MS, (error) => (error ? reject(error) : resolve()));
    });
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: users }, async (_, user) => {
        const notification = { sender_email: 'sender@example.com', receiver_email: emailOf(user) };
        const deadline = Date.now() + CALL_TIMEOUT_MS;
        const { success } = await callUnary(client, notificationService.CreateNotification, notification, {
          deadline,
        });
        if (success !== true) throw new BenchError('a notification was not created');
      }),
    );
    await waitUntil('all watchers are told', async () => areAll(watchers, isTold), signal);
    for (const { email, arrivals } of watchers) {
      if (arrivals.length === 1 && arrivals[0]?.receiver === email) continue;
      throw new BenchError(`a watcher of ${email} was told ${JSON.stringify(arrivals)}`);
    }
    return Math.max(...watchers.flatMap(({ arrivals }) => arrivals.map(({ at }) => at))) - startedAt;
  } finally {
    client.close();
  }
}

/** @throws {BenchError} when one of them watches no more. */
function areAll(watchers: readonly Watcher[], is: (watcher: Watcher) => boolean): boolean {
  for (const { email, failure } of watchers) {
    if (failure !== undefined) throw new BenchError(`a watch of ${email} has ended: ${failure}`);
  }
  return watchers.every(is);
}

function isTold({ arrivals }: Watcher): boolean {
  return arrivals.length > 0;
}

function emailOf(user: number): string {
  return `user-${user}@example.com`;
}

function describeRound({ processes, told, toldAfterMs }: WatchedRound): string {
  const costs = processes.map(({ name, before, after }) => {
    const kilobytes = (after.pss - before.pss) / WATCHERS / 1024;
    return `${name} ${kilobytes.toFixed(1)} KB each`;
  });
  return `${costs.join(', ')}; ${told} told within ${toldAfterMs.toFixed(0)} ms`;
}
