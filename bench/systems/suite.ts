import getPort from 'get-port';
import {
  addressOf,
  entryFile,
  environmentOf,
  forEveryProcess,
  isHealthy,
  NODE_FLAGS,
  peerEnvironment,
  type Layout,
  type ProcessName,
  type SuiteProcess,
  suiteProcesses,
} from '#scripts/suite';
import type { BenchRedis, Measured, Processes } from '../processes.js';
import { waitUntil } from '../wait-until.js';

export const SERVICES = [
  'user_service',
  'message_service',
  'notification_service',
  'frontend_service',
] as const;
export type ServiceName = (typeof SERVICES)[number];

/** The suite as `npm start` runs it: eight processes with their default settings, on a Redis of its own. */
export interface Suite {
  name: string;
  addresses: Record<ProcessName, string>;
  /** The same with all replicas of a process. */
  replicas: Record<ProcessName, readonly string[]>;
  /** That of MessageService, where each service has one of its own. */
  redis: BenchRedis;
  redisOf: Record<ServiceName, BenchRedis>;
  /** Its processes and its Redis: what it costs is what all of them cost. */
  processes: readonly Measured[];
}

/**
 * Starts a suite and waits until it is healthy.
 *
 * @param options.seed fills its Redis before anyone else uses it
 * @param options.environment what its processes are told besides their places
 * @param options.replicas how many there are of each gRPC process; one unless told
 * @param options.hasOwnRedises whether each service has a Redis of its own, rather than all the same
 */
export async function startSuite(
  name: string,
  processes: Processes,
  signal: AbortSignal,
  options: {
    seed?: (redis: BenchRedis) => Promise<void>;
    environment?: Record<string, string>;
    replicas?: number;
    hasOwnRedises?: boolean;
  } = {},
): Promise<Suite> {
  const { replicas = 1, hasOwnRedises = false } = options;
  const startRedis = async (of: string) => processes.startDurableRedis(`redis of ${of}`, await getPort());
  const redis = await startRedis(hasOwnRedises ? 'message_service' : `the ${name}`);
  const startOther = async (service: ServiceName) => (hasOwnRedises ? startRedis(service) : redis);
  const redisOf = {
    user_service: await startOther('user_service'),
    message_service: redis,
    notification_service: await startOther('notification_service'),
    frontend_service: await startOther('frontend_service'),
  };
  await options.seed?.(redis);
  signal.throwIfAborted();

  const layouts: Layout[] = [];
  for (let replica = 0; replica < replicas; replica++) {
    const free = await Promise.all(suiteProcesses.map(() => getPort()));
    layouts.push({ host: '127.0.0.1', ports: forEveryProcess(() => free.pop() ?? 0), redis });
  }
  const started = suiteProcesses.flatMap((suiteProcess) =>
    layouts.slice(0, suiteProcess.door === 'grpc' ? replicas : 1).map((layout, replica) => ({
      suiteProcess,
      name: replica === 0 ? suiteProcess.name : `${suiteProcess.name} ${replica + 1}`,
      address: addressOf(suiteProcess.name, layout),
      layout: { ...layout, redis: redisOf[suiteProcess.service] },
    })),
  );
  const addressesOf = (process: SuiteProcess) =>
    started.flatMap(({ suiteProcess, address }) => (suiteProcess.name === process.name ? [address] : []));
  const all = forEveryProcess(addressesOf);
  const services = started.map(({ suiteProcess, name: process, layout }) =>
    processes.startNode(process, entryFile(suiteProcess), {
      flags: NODE_FLAGS,
      env: {
        ...environmentOf(suiteProcess, layout),
        ...peerEnvironment((peer) => all[peer].join(',')),
        // What was stored is counted afterwards, more than is kept of one user's by default.
        NOTIFICATIONS_KEPT: '10000000',
        ...options.environment,
      },
    }),
  );
  await waitUntil(
    `the ${name} is healthy`,
    async () => {
      const healthy = await Promise.all(
        started.map(({ suiteProcess, address }) => isHealthy(suiteProcess, address)),
      );
      return healthy.every(Boolean);
    },
    signal,
  );
  return {
    name,
    addresses: forEveryProcess((process) => all[process.name][0] ?? ''),
    replicas: all,
    redis,
    redisOf,
    processes: [...services, ...new Set(Object.values(redisOf))],
  };
}
