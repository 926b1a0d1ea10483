import getPort from 'get-port';
import {
  addressOf,
  entryFile,
  environmentOf,
  forEveryProcess,
  isHealthy,
  type Layout,
  type ProcessName,
  suiteProcesses,
} from '#scripts/suite';
import type { BenchRedis, Measured, Processes } from '../processes.js';
import { waitUntil } from '../wait-until.js';

/** The suite as `npm start` runs it: eight processes with their default settings, on a Redis of its own. */
export interface Suite {
  name: string;
  addresses: Record<ProcessName, string>;
  redis: BenchRedis;
  /** Its processes and its Redis: what it costs is what all of them cost. */
  processes: readonly Measured[];
}

/**
 * Starts a suite and waits until it is healthy.
 *
 * @param options.seed fills its Redis before anyone else uses it
 * @param options.environment what its processes are told besides their places
 */
export async function startSuite(
  name: string,
  processes: Processes,
  signal: AbortSignal,
  options: {
    seed?: (redis: BenchRedis) => Promise<void>;
    environment?: Record<string, string>;
  } = {},
): Promise<Suite> {
  const [redisPort = 0, ...free] = await Promise.all(
    Array.from({ length: suiteProcesses.length + 1 }, () => getPort()),
  );
  const redis = await processes.startDurableRedis(`redis of the ${name}`, redisPort);
  await options.seed?.(redis);
  signal.throwIfAborted();

  const layout: Layout = { host: '127.0.0.1', ports: forEveryProcess(() => free.pop() ?? 0), redis };
  const services = suiteProcesses.map((suiteProcess) =>
    processes.startNode(suiteProcess.name, entryFile(suiteProcess), {
      env: {
        ...environmentOf(suiteProcess, layout),
        // What was stored is counted afterwards, more than is kept of one user's by default.
        NOTIFICATIONS_KEPT: '10000000',
        ...options.environment,
      },
    }),
  );
  const addresses = forEveryProcess((suiteProcess) => addressOf(suiteProcess.name, layout));
  await waitUntil(
    `the ${name} is healthy`,
    async () => {
      const healthy = await Promise.all(
        suiteProcesses.map((suiteProcess) => isHealthy(suiteProcess, addresses[suiteProcess.name])),
      );
      return healthy.every(Boolean);
    },
    signal,
  );
  return { name, addresses, redis, processes: [...services, redis] };
}
