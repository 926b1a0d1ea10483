import type { CpuMs } from '../usage.js';

/** What a message costs at one load, until it is shown: each figure a message. */
export interface ChainPoint {
  /** How many messages were in flight at one replica of MessageService. */
  inFlight: number;
  /** How many came through in a second. */
  perSecond: number;
  /** By process, besides what it uses without any. */
  cpuMs: CpuMs;
  /** What it cost the load generator, which was on the same cores. */
  loadCpuMs: number;
}

/** The processes that the model counts, of which there can be any number. */
export const KINDS = [
  'user_service_grpc',
  'user_service_api',
  'message_service_grpc',
  'message_service_api',
  'notification_service_grpc',
  'notification_service_api',
  'frontend_service_grpc',
  'frontend_service_api',
] as const;
export type Kind = (typeof KINDS)[number];

/** The services that keep something in Redis, or tell something through it. */
export const REDIS_PARTS = [
  'user_service',
  'message_service',
  'notification_service',
  'frontend_service',
] as const;
export type RedisPart = (typeof REDIS_PARTS)[number];

/** What was measured: all that the model knows of the suite. CPU times are in milliseconds, sizes in bytes. */
export interface Figures {
  /** One Redis for all; ascending. */
  chain: readonly ChainPoint[];
  /** What a process uses in a second without any call. */
  idleCpuMsPerSecond: CpuMs;
  /** A message, by the Redis of the service, each with its own. */
  redisCpuMs: Record<RedisPart, number>;
  /** What one primary's thread spends on a message where all services share it. */
  sharedRedisCpuMs: number;
  /** A browser's event stream, by process. */
  watcher: { bytes: CpuMs; connectCpuMs: CpuMs; restCpuMsPerSecond: CpuMs; shownCpuMs: CpuMs };
  /** A page of messages in the inbox, by process. */
  readCpuMs: CpuMs;
  markReadCpuMs: CpuMs;
  newTokenCpuMs: CpuMs;
  logInCpuMs: number;
  /** In Redis, besides its content. */
  messageBytes: number;
  notificationBytes: number;
  userBytes: number;
  /** Once for each two users who write to each other. */
  conversationBytes: number;
  /** What an append-only file that was just rewritten has of them, content and all. */
  fileBytes: number;
  /** What is written to append-only files as a message goes through. */
  appendedBytes: number;
  /** All that goes from process to process for a message. */
  networkBytes: number;
  /** That part of it which goes to Redis and comes from there. */
  redisNetworkBytes: number;
  /** The most that a process held under load, without watchers. */
  processBytes: CpuMs;
}

/** What is asked of the suite. */
export interface Demand {
  name: string;
  /** In the busiest hour. */
  messagesPerSecond: number;
  /** How many browsers have the inbox open at that time. */
  watchers: number;
}

/** What the model takes for granted, as nothing here tells it. */
export const assumptions = {
  contentBytes: 100,
  /** How many browsers show a message. */
  watchersPerMessage: 1,
  /** How many pages of messages are read, and conversations marked as read, for each. */
  readsPerMessage: 1,
  /** The mean of a day, as a share of the busiest hour. */
  meanOfPeak: 1 / 3,
  usersPerWatcher: 10,
  conversationsPerUser: 10,
  logInsPerWatcherAndDay: 1,
  /** What a core is planned for: the rest is for bursts, and for what a lost machine leaves to the others. */
  coreShare: 0.6,
  /** One may be gone. */
  leastProcesses: 2,
  /** `MAX_WATCHES`, the default. */
  watchersPerProcess: 5_000,
  /** An access token's lifetime. */
  tokenSeconds: 15 * 60,
  messageDays: 30,
  notificationDays: 30,
  /** What a primary is planned to hold, on a machine with twice as much: a rewrite copies what changes meanwhile. */
  primaryBytes: 32 * 1024 ** 3,
  networkBitsPerSecond: 10e9,
  outageSeconds: 60,
} as const;

const SECONDS_A_DAY = 24 * 60 * 60;

/**
 * What a message costs by process with so many in flight at each replica: more of them share a batch. Between two loads that
 * were measured it is a straight line over the logarithm of the load; beyond them the nearest holds.
 */
export function cpuAtLoad(chain: readonly ChainPoint[], load: number, by: 'inFlight' | 'perSecond'): CpuMs {
  const { above, below, share } = placeOf(chain, load, by);
  return Object.fromEntries(
    Object.entries(above.cpuMs).map(([process, ms]) => [
      process,
      (1 - share) * (below.cpuMs[process] ?? ms) + share * ms,
    ]),
  );
}

/** The points around a load, and how far it is from the one to the other: from 0 to 1. */
function placeOf(
  chain: readonly ChainPoint[],
  load: number,
  by: 'inFlight' | 'perSecond',
): { below: ChainPoint; above: ChainPoint; share: number } {
  const after = chain.findIndex((point) => point[by] >= load);
  const [above, below] = [chain[after === -1 ? chain.length - 1 : after], chain[Math.max(after - 1, 0)]];
  if (!above || !below) throw new RangeError('a chain has at least one point');
  if (after <= 0) return { below: above, above, share: 1 };
  return { below, above, share: Math.log(load / below[by]) / Math.log(above[by] / below[by]) };
}

export function sumOf(cpuMs: CpuMs): number {
  return Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0);
}

/** How many cores a load kept busy, the load generator included. */
function busyCoresOf({ perSecond, cpuMs, loadCpuMs }: ChainPoint): number {
  return (perSecond * (sumOf(cpuMs) + loadCpuMs)) / 1_000;
}

/**
 * Predicts the messages a second of replicas on a machine like the one that was measured. How busy it gets depends on what is in
 * flight in all, and what a message costs on what is in flight at each replica.
 *
 * @param inFlight at all replicas together
 * @param coresShare how many cores there are, as a share of those that were measured: they are as busy as those ever were
 */
export function predictPerSecond(
  chain: readonly ChainPoint[],
  { inFlight, replicas = 1, coresShare = 1 }: { inFlight: number; replicas?: number; coresShare?: number },
): number {
  const { below, above, share } = placeOf(chain, inFlight, 'inFlight');
  const busy = (1 - share) * busyCoresOf(below) + share * busyCoresOf(above);
  const most = coresShare * Math.max(...chain.map((point) => busyCoresOf(point)));
  const each = sumOf(cpuAtLoad(chain, inFlight / replicas, 'inFlight'));
  const loadCpuMs = (1 - share) * below.loadCpuMs + share * above.loadCpuMs;
  return (1_000 * Math.min(busy, most)) / (each + loadCpuMs);
}

/** How long a thread rests after each password, as a share of what that took: as in UserService's `passwords.ts`. */
const REST_SHARE = 0.15;

/** Predicts the log-ins a second of `processes` with `threads` for bcrypt each, on so many cores. */
export function predictLogIns(
  logInCpuMs: number,
  { processes, threads, cores }: { processes: number; threads: number; cores: number },
): number {
  const byThreads = (processes * threads * 1_000) / (logInCpuMs * (1 + REST_SHARE));
  return Math.min(byThreads, (cores * 1_000) / logInCpuMs);
}

/** How many processes of one kind there are to be, and what they take. */
export interface ProcessPlan {
  kind: Kind;
  count: number;
  cores: number;
  bytes: number;
}

/** What one service's Redis is to bear. */
export interface RedisPlan {
  part: RedisPart;
  /** Of one core, on which all commands of a primary run. */
  busy: number;
  bytes: number;
  /** As many primaries as it takes, were the keys spread over them. */
  primaries: number;
}

/** Something that there is one of, and how much of it is asked for. */
export interface Limit {
  name: string;
  /** 1 is all of it. */
  used: number;
  /** Whether more processes cure it. */
  isCuredByReplicas: boolean;
}

export interface Plan {
  demand: Demand;
  processes: ProcessPlan[];
  redis: RedisPlan[];
  cores: number;
  bytes: number;
  networkBitsPerSecond: number;
  /** Written to disks in a day. */
  appendedBytesPerDay: number;
  /** Held on disk after so many days, should nothing be deleted. */
  fileBytesPerDay: number;
  memoryBytesPerDay: number;
  /** With one of everything, the tightest first. */
  limits: Limit[];
  /** How long until all watchers are back that lost their connection at once, and which process is the last to be done. */
  reconnect: { kind: Kind; seconds: number };
  /** The same, should they have to log in again. */
  logInSeconds: number;
  /** How long the outbox takes to be empty again after NotificationService was away. */
  drainSeconds: number;
  /** How many messages wait in it then. */
  outboxEntries: number;
}

/** What it takes to bear a demand. */
export function planFor(demand: Demand, figures: Figures): Plan {
  const processes = KINDS.map((kind) => planProcesses(kind, demand, figures));
  const redis = REDIS_PARTS.map((part) => planRedis(part, demand, figures));
  const perDay = demand.messagesPerSecond * assumptions.meanOfPeak * SECONDS_A_DAY;
  const messageBytes = figures.messageBytes + assumptions.contentBytes;
  const { coreShare, outageSeconds } = assumptions;
  const users = processes.find(({ kind }) => kind === 'user_service_api')?.count ?? NaN;
  return {
    demand,
    processes,
    redis,
    cores:
      processes.reduce((sum, { cores }) => sum + cores, 0) + redis.reduce((sum, { busy }) => sum + busy, 0),
    bytes:
      processes.reduce((sum, { bytes }) => sum + bytes, 0) + redis.reduce((sum, { bytes }) => sum + bytes, 0),
    networkBitsPerSecond: 8 * demand.messagesPerSecond * figures.networkBytes,
    appendedBytesPerDay: perDay * figures.appendedBytes,
    fileBytesPerDay: perDay * figures.fileBytes,
    memoryBytesPerDay: perDay * (messageBytes + figures.notificationBytes),
    limits: findLimits(demand, figures, redis),
    reconnect: findReconnect(demand, figures, processes),
    logInSeconds: (demand.watchers * figures.logInCpuMs * (1 + REST_SHARE)) / 1_000 / users,
    // What comes meanwhile goes on taking the planned share; the rest is for what waits.
    drainSeconds: (outageSeconds * coreShare) / (1 - coreShare),
    outboxEntries: demand.messagesPerSecond * outageSeconds,
  };
}

function findReconnect(
  { watchers }: Demand,
  figures: Figures,
  processes: readonly ProcessPlan[],
): Plan['reconnect'] {
  const times = processes.map(({ kind, count }) => {
    const ofOne = (figures.watcher.connectCpuMs[kind] ?? 0) + (figures.newTokenCpuMs[kind] ?? 0);
    return { kind, seconds: (watchers * ofOne) / 1_000 / count };
  });
  return times.reduce((last, each) => (each.seconds > last.seconds ? each : last));
}

/** CPU time that one kind of process needs in a second, in milliseconds, if each of them gets so many messages. */
function cpuOf(
  kind: Kind,
  { messagesPerSecond, watchers }: Demand,
  figures: Figures,
  perProcess: number,
): number {
  const { watchersPerMessage, readsPerMessage, logInsPerWatcherAndDay, meanOfPeak, tokenSeconds } =
    assumptions;
  const { watcher, readCpuMs, markReadCpuMs, newTokenCpuMs, logInCpuMs } = figures;
  const ofMessage = isInChain(kind) ? (cpuAtLoad(figures.chain, perProcess, 'perSecond')[kind] ?? 0) : 0;
  // The one watcher of the chain got many at once; to show one each to others takes more.
  const ofShowing = isFrontend(kind) ? watchersPerMessage * (watcher.shownCpuMs[kind] ?? 0) : 0;
  const ofReading = readsPerMessage * ((readCpuMs[kind] ?? 0) + (markReadCpuMs[kind] ?? 0));
  const ofIdleWatcher = isFrontend(kind) ? (watcher.restCpuMsPerSecond[kind] ?? 0) : 0;
  const ofSession = (newTokenCpuMs[kind] ?? 0) / tokenSeconds;
  const logIns = (watchers * logInsPerWatcherAndDay) / (meanOfPeak * SECONDS_A_DAY);
  const ofLogIns = kind === 'user_service_api' ? logIns * logInCpuMs : 0;
  return (
    messagesPerSecond * (ofMessage + ofShowing + ofReading) +
    watchers * (ofIdleWatcher + ofSession) +
    ofLogIns
  );
}

/** Whether each message passes it. What is shown by REST is counted as showing. */
function isInChain(kind: Kind): boolean {
  return kind.endsWith('_grpc');
}

/** Whether it holds something for each watcher. */
function isFrontend(kind: Kind): boolean {
  return kind.startsWith('frontend_service');
}

function planProcesses(kind: Kind, demand: Demand, figures: Figures): ProcessPlan {
  const { leastProcesses, coreShare, watchersPerProcess } = assumptions;
  const byWatchers = isFrontend(kind) ? Math.ceil(demand.watchers / watchersPerProcess) : 0;
  let count = Math.max(leastProcesses, byWatchers);
  const idle = figures.idleCpuMsPerSecond[kind] ?? 0;
  const coresWith = (processes: number) =>
    (processes * idle + cpuOf(kind, demand, figures, demand.messagesPerSecond / processes)) / 1_000;
  while (coresWith(count) > coreShare * count) count++;
  const ofWatchers = isFrontend(kind) ? demand.watchers * (figures.watcher.bytes[kind] ?? 0) : 0;
  return {
    kind,
    count,
    cores: coresWith(count),
    bytes: ofWatchers + count * (figures.processBytes[kind] ?? 0),
  };
}

function planRedis(part: RedisPart, { messagesPerSecond, watchers }: Demand, figures: Figures): RedisPlan {
  const { messageDays, notificationDays, meanOfPeak, usersPerWatcher, conversationsPerUser, contentBytes } =
    assumptions;
  const { coreShare, primaryBytes } = assumptions;
  const perDay = messagesPerSecond * meanOfPeak * SECONDS_A_DAY;
  const users = watchers * usersPerWatcher;
  const bytes = {
    user_service: users * figures.userBytes,
    message_service:
      perDay * messageDays * (figures.messageBytes + contentBytes) +
      ((users * conversationsPerUser) / 2) * figures.conversationBytes,
    notification_service: perDay * notificationDays * figures.notificationBytes,
    frontend_service: watchers * (figures.watcher.bytes['redis'] ?? 0),
  }[part];
  const ofReads = part === 'message_service' ? (figures.readCpuMs['redis'] ?? 0) : 0;
  const busy = (messagesPerSecond * (figures.redisCpuMs[part] + ofReads)) / 1_000;
  const primaries = Math.max(Math.ceil(busy / coreShare), Math.ceil(bytes / primaryBytes), 1);
  return { part, busy, bytes, primaries };
}

function findLimits(demand: Demand, figures: Figures, redis: readonly RedisPlan[]): Limit[] {
  const { watchersPerProcess, primaryBytes, networkBitsPerSecond, messageDays } = assumptions;
  const ofProcesses = KINDS.map((kind) => ({
    name: `CPU of one ${kind}`,
    used: cpuOf(kind, demand, figures, demand.messagesPerSecond) / 1_000,
    isCuredByReplicas: true,
  }));
  const ofReads = figures.readCpuMs['redis'] ?? 0;
  return [
    ...ofProcesses,
    {
      name: 'watches of one process (MAX_WATCHES)',
      used: demand.watchers / watchersPerProcess,
      isCuredByReplicas: true,
    },
    {
      name: 'CPU of the one Redis',
      used: (demand.messagesPerSecond * (figures.sharedRedisCpuMs + ofReads)) / 1_000,
      isCuredByReplicas: false,
    },
    {
      name: `memory of the one Redis, after ${messageDays} days`,
      used: redis.reduce((sum, { bytes }) => sum + bytes, 0) / primaryBytes,
      isCuredByReplicas: false,
    },
    {
      name: 'network of the one Redis',
      used: (8 * demand.messagesPerSecond * figures.redisNetworkBytes) / networkBitsPerSecond,
      isCuredByReplicas: false,
    },
  ].toSorted((one, other) => other.used - one.used);
}
