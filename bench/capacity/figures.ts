import { type Measurements, type Sample, spreadOf } from '../measure.js';
import { SERVICES } from '../systems/suite.js';
import type { CpuMs } from '../usage.js';
import { CONTENT_BYTES } from './chain.js';
import type { Capacity } from './measured.js';
import { type ChainPoint, type Figures, sumOf } from './model.js';
import { operationNames } from './operations.js';
import type { WatchingRound } from './watching.js';

/** How the suite's only Redis is called among its processes. */
export const SHARED_REDIS = 'redis of the suite';
/** How a service's own is called. */
export const redisOf = (service: string) => `redis of ${service}`;

/** The medians that the model is made from. */
export function figuresOf(capacity: Capacity): Figures {
  const { storage, idleCpuMsPerSecond: idle } = capacity;
  const most = capacity.chain.at(-1)?.samples['suite'] ?? [];
  const mostWithOwn = capacity.ownRedises.always.at(-1)?.samples['suite'] ?? [];
  const meter = (samples: readonly Sample[], name: string) =>
    medianOf(samples.map(({ meters }) => meters[name] ?? NaN));
  const redisCpuMs = Object.fromEntries(
    SERVICES.map((service) => [service, meter(mostWithOwn, `${redisOf(service)} mainThreadMs`)]),
  );
  const operation = (name: string) =>
    capacity.operations.find((each) => each.name === name)?.samples['suite'] ?? [];
  const operationCpu = (name: string) => renamed(mainParts(netCpu(operation(name), idle)));
  const events = capacity.watching.find(({ name }) => name === 'GET /api/events')?.rounds ?? [];
  const calls = capacity.watching.find(({ name }) => name === 'WatchNotifications')?.rounds ?? [];
  return {
    chain: capacity.chain.map((measurements) => chainPointOf(measurements, idle)),
    idleCpuMsPerSecond: idle,
    redisCpuMs: {
      user_service: redisCpuMs['user_service'] ?? NaN,
      message_service: redisCpuMs['message_service'] ?? NaN,
      notification_service: redisCpuMs['notification_service'] ?? NaN,
      frontend_service: redisCpuMs['frontend_service'] ?? NaN,
    },
    sharedRedisCpuMs: meter(most, `${SHARED_REDIS} mainThreadMs`),
    watcher: {
      bytes: { ...memoryOf(events), redis: medianOf(calls.map(({ redisBytes }) => redisBytes)) },
      connectCpuMs: renamed(mainParts(medianCpu(events.map(({ connectCpuMs }) => connectCpuMs)))),
      restCpuMsPerSecond: renamed(medianCpu(events.map(({ restCpuMsPerSecond }) => restCpuMsPerSecond))),
      shownCpuMs: renamed(medianCpu(events.map(({ shownCpuMs }) => shownCpuMs))),
    },
    readCpuMs: operationCpu(operationNames.read),
    markReadCpuMs: operationCpu(operationNames.markRead),
    newTokenCpuMs: operationCpu(operationNames.newToken),
    logInCpuMs: operationCpu(operationNames.logIn)['user_service_grpc'] ?? NaN,
    messageBytes: storage.message.memory - CONTENT_BYTES,
    notificationBytes: storage.notification.memory,
    userBytes: storage.user.memory + storage.subscription.memory,
    conversationBytes: storage.firstMessage.memory - storage.message.memory,
    fileBytes: storage.message.file + storage.notification.file,
    appendedBytes: meter(most, `${SHARED_REDIS} fileBytes`),
    networkBytes: meter(most, 'loopbackBytes'),
    redisNetworkBytes: meter(most, `${SHARED_REDIS} bytesIn`) + meter(most, `${SHARED_REDIS} bytesOut`),
    processBytes: capacity.peakBytes,
  };
}

/** The medians of one load. */
export function chainPointOf(
  { inFlight, samples: { suite = [] } }: Measurements,
  idleCpuMsPerSecond: CpuMs,
): ChainPoint {
  return {
    inFlight,
    perSecond: medianOf(suite.map(({ perSecond }) => perSecond)),
    cpuMs: renamed(netCpu(suite, idleCpuMsPerSecond)),
    loadCpuMs: medianOf(suite.map(({ loadCpuMsPerCall }) => loadCpuMsPerCall)),
  };
}

/** CPU time of a call by process, less what the processes use in that time without any call: the medians of the rounds. */
export function netCpu(samples: readonly Sample[], idleCpuMsPerSecond: CpuMs): CpuMs {
  const rounds = samples.map(({ cpuMsByProcess, seconds, settledAfterMs, calls }) =>
    Object.fromEntries(
      Object.entries(cpuMsByProcess).map(([process, ms]) => {
        // A replica is as idle as the first.
        const idle =
          (idleCpuMsPerSecond[process.replace(/ \d+$/, '')] ?? 0) * (seconds + settledAfterMs / 1_000);
        return [process, Math.max(ms - idle / calls, 0)];
      }),
    ),
  );
  return medianCpu(rounds);
}

/** Without the processes that have no part in it, of which there is noise: what is less than a twentieth of all. */
export function mainParts(cpuMs: CpuMs): CpuMs {
  const least = sumOf(cpuMs) / 20;
  return Object.fromEntries(Object.entries(cpuMs).filter(([, ms]) => ms >= least));
}

/** The median of each process over the rounds. */
export function medianCpu(rounds: readonly CpuMs[]): CpuMs {
  const processes = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    processes.map((process) => [process, medianOf(rounds.map((round) => round[process] ?? NaN))]),
  );
}

export function medianOf(values: readonly number[]): number {
  return spreadOf(values).median;
}

function memoryOf(rounds: readonly WatchingRound[]): CpuMs {
  const processes = rounds[0]?.memory.map(({ process }) => process) ?? [];
  return Object.fromEntries(
    processes.map((process) => [
      process,
      medianOf(
        rounds.flatMap(({ memory }) =>
          memory.flatMap((each) => (each.process === process ? [each.rss] : [])),
        ),
      ),
    ]),
  );
}

/** The model has one name for the Redis of a suite. */
function renamed(cpuMs: CpuMs): CpuMs {
  return Object.fromEntries(
    Object.entries(cpuMs).map(([process, ms]) => [process === SHARED_REDIS ? 'redis' : process, ms]),
  );
}
