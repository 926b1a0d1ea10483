import {
  type ChainPoint,
  cpuAtLoad,
  type Figures,
  KINDS,
  planFor,
  predictLogIns,
  predictPerSecond,
} from '#bench/capacity/model';
import { expect, test } from 'vitest';

/** A message takes less the more of them are in flight. */
const alone: ChainPoint = {
  inFlight: 1,
  perSecond: 500,
  cpuMs: { message_service_grpc: 1, notification_service_grpc: 0.5, redis: 0.5 },
  loadCpuMs: 0.1,
};
const some: ChainPoint = {
  inFlight: 16,
  perSecond: 2_000,
  cpuMs: { message_service_grpc: 0.3, notification_service_grpc: 0.2, redis: 0.1 },
  loadCpuMs: 0.1,
};
const many: ChainPoint = {
  inFlight: 64,
  perSecond: 4_000,
  cpuMs: { message_service_grpc: 0.2, notification_service_grpc: 0.1, redis: 0.1 },
  loadCpuMs: 0.1,
};
const chain = [alone, some, many];

const figures: Figures = {
  chain,
  idleCpuMsPerSecond: Object.fromEntries(KINDS.map((kind) => [kind, 5])),
  redisCpuMs: {
    user_service: 0.01,
    message_service: 0.06,
    notification_service: 0.05,
    frontend_service: 0.01,
  },
  sharedRedisCpuMs: 0.1,
  watcher: {
    bytes: { frontend_service_grpc: 20_000, frontend_service_api: 50_000, redis: 300 },
    connectCpuMs: { frontend_service_grpc: 1, frontend_service_api: 2, notification_service_grpc: 0.5 },
    restCpuMsPerSecond: { frontend_service_api: 0.005 },
    shownCpuMs: { frontend_service_grpc: 0.05, frontend_service_api: 0.1 },
  },
  readCpuMs: { message_service_grpc: 0.2, frontend_service_api: 0.4, redis: 0.05 },
  markReadCpuMs: { message_service_grpc: 0.1 },
  logInCpuMs: 120,
  newTokenCpuMs: { user_service_api: 1 },
  messageBytes: 500,
  notificationBytes: 300,
  userBytes: 500,
  conversationBytes: 1_000,
  fileBytes: 300,
  appendedBytes: 2_000,
  networkBytes: 5_000,
  redisNetworkBytes: 2_500,
  processBytes: Object.fromEntries(KINDS.map((kind) => [kind, 200_000_000])),
};

const planOf = (messagesPerSecond: number, watchers: number) =>
  planFor({ name: 'a test', messagesPerSecond, watchers }, figures);

test('what was measured is what the model says of the same load', () => {
  for (const point of chain) {
    expect(cpuAtLoad(chain, point.inFlight, 'inFlight')).toEqual(point.cpuMs);
    expect(cpuAtLoad(chain, point.perSecond, 'perSecond')).toEqual(point.cpuMs);
  }
});

test('between two loads it lies half-way at their geometric mean, and beyond all the nearest holds', () => {
  expect(cpuAtLoad(chain, 32, 'inFlight')['message_service_grpc']).toBeCloseTo(0.25);
  expect(cpuAtLoad(chain, 0.1, 'inFlight')).toEqual(alone.cpuMs);
  expect(cpuAtLoad(chain, 10_000, 'inFlight')).toEqual(many.cpuMs);
});

test('with one replica and all cores, what was measured is what is predicted', () => {
  for (const { inFlight, perSecond } of chain) {
    expect(predictPerSecond(chain, { inFlight })).toBeCloseTo(perSecond);
  }
});

test('replicas that share what is in flight make less of a machine that is as busy', () => {
  // 64 in flight keep 4,000 × (0.4 + 0.1) ms busy; with 16 at each replica a message takes 0.6 + 0.1.
  expect(predictPerSecond(chain, { inFlight: 64, replicas: 4 })).toBeCloseTo((4_000 * 0.5) / 0.7);
  // With as many at each as one had, it is the same.
  expect(predictPerSecond(chain, { inFlight: 4 * 64, replicas: 4 })).toBeCloseTo(4_000);
});

test('half of the cores are as busy as all were at the most', () => {
  expect(predictPerSecond(chain, { inFlight: 64, coresShare: 0.5 })).toBeCloseTo(2_000);
  // A lone caller kept 1.05 of 2 busy cores busy; one core bears that almost.
  expect(predictPerSecond(chain, { inFlight: 1, coresShare: 0.5 })).toBeCloseTo(1_000 / 2.1);
});

test('log-ins grow with the processes, until all cores are busy', () => {
  const one = predictLogIns(100, { processes: 1, threads: 1, cores: 2 });
  expect(one).toBeCloseTo(8.7, 1);
  expect(predictLogIns(100, { processes: 2, threads: 1, cores: 2 })).toBeCloseTo(2 * one);
  expect(predictLogIns(100, { processes: 3, threads: 1, cores: 2 })).toBeCloseTo(20);
});

test('no process is planned to be busier than it may be, and none is alone', () => {
  for (const [messagesPerSecond, watchers] of [
    [1, 10],
    [1_000, 100_000],
    [100_000, 1_000_000],
  ] as const) {
    for (const { count, cores } of planOf(messagesPerSecond, watchers).processes) {
      expect(count).toBeGreaterThanOrEqual(2);
      expect(cores / count).toBeLessThanOrEqual(0.6);
    }
  }
});

test('watchers need processes of their own, by how many each may have', () => {
  const { processes } = planOf(1, 1_000_000);
  const countOf = (kind: string) => processes.find((each) => each.kind === kind)?.count;
  expect(countOf('frontend_service_api')).toBe(200);
  expect(countOf('frontend_service_grpc')).toBe(200);
  expect(countOf('message_service_grpc')).toBe(2);
});

test('all are back once the kind that is slowest to let them in is done', () => {
  // 200 processes for FrontendService's streams, and two of NotificationService, which is asked once for each.
  expect(planOf(1, 1_000_000).reconnect).toEqual({ kind: 'notification_service_grpc', seconds: 250 });
});

test('a Redis has as many primaries as its thread and its memory ask for', () => {
  const { redis } = planOf(100_000, 1_000);
  const of = (part: string) => redis.find((each) => each.part === part);
  // 0.06 ms for the message and 0.05 ms to read it, 100,000 times a second.
  expect(of('message_service')?.busy).toBeCloseTo(11);
  expect(of('frontend_service')?.primaries).toBe(2);
  // 600 bytes each, 100,000 a second in the busiest hour, a third of that on average, for 30 days.
  const expected = (600 * 100_000 * 86_400 * 30) / 3;
  expect(of('message_service')?.bytes).toBeGreaterThan(expected);
  expect(of('message_service')?.primaries).toBe(
    Math.ceil((of('message_service')?.bytes ?? 0) / (32 * 1024 ** 3)),
  );
});

test('the limits come in the order in which they are met', () => {
  const { limits } = planOf(1_000, 1_000);
  const used = limits.map((limit) => limit.used);
  expect(used).toEqual(used.toSorted((one, other) => other - one));
  expect(limits.find(({ name }) => name === 'CPU of the one Redis')?.used).toBeCloseTo(0.15);
});
