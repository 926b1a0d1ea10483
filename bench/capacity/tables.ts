import { type Measurements, type Sample, spreadOf } from '../measure.js';
import { figure, spread, table } from '../report.js';
import { SERVICES } from '../systems/suite.js';
import { mainParts, medianOf, netCpu, redisOf, SHARED_REDIS } from './figures.js';
import { type Capacity, SYNCS } from './measured.js';
import { assumptions, type Demand, type Figures, type Limit, type Plan, sumOf } from './model.js';
import type { WatchingRound } from './watching.js';
import { CONTENT_BYTES } from './chain.js';

/** The sizes that the plan is made for. */
export const demands: readonly Demand[] = [
  { name: '10 messages/s', messagesPerSecond: 10, watchers: 1_000 },
  { name: '1,000 messages/s', messagesPerSecond: 1_000, watchers: 100_000 },
  { name: '100,000 messages/s', messagesPerSecond: 100_000, watchers: 1_000_000 },
  { name: '1 million watchers', messagesPerSecond: 1_000, watchers: 1_000_000 },
];

/** The names that mark the places of the tables in the document. */
export const TABLES = [
  'chain',
  'traffic',
  'redis',
  'operations',
  'storage',
  'watchers',
  'predictions',
  'assumptions',
  'processes',
  'resources',
  'primaries',
  'limits',
  'recovery',
] as const;

/** Every table by its name. */
export function tablesOf(
  capacity: Capacity,
  figures: Figures,
  plans: readonly Plan[],
): Record<(typeof TABLES)[number], string> {
  return {
    chain: chainTable(capacity),
    traffic: trafficTable(capacity.chain),
    redis: redisTable(capacity),
    operations: operationsTable(capacity),
    storage: storageTable(capacity),
    watchers: watchersTable(capacity),
    predictions: predictionsTable(capacity),
    assumptions: assumptionsTable(),
    processes: processesTable(plans),
    resources: resourcesTable(plans),
    primaries: primariesTable(plans, figures),
    limits: limitsTable(plans),
    recovery: recoveryTable(plans),
  };
}

const MICROSECONDS = 1_000;

const samplesOf = ({ samples: { suite = [] } }: Measurements) => suite;
const spreadBy = (samples: readonly Sample[], value: (sample: Sample) => number) =>
  spread(spreadOf(samples.map(value)));
const round = (value: number) => Math.round(value).toLocaleString('en');

/** CPU time of each process for a message, at each load. */
function chainTable({ chain, idleCpuMsPerSecond: idle, peakBytes }: Capacity): string {
  const cpu = chain.map((measurements) => netCpu(samplesOf(measurements), idle));
  const totals = chain.map((measurements) =>
    samplesOf(measurements).map((sample) => MICROSECONDS * sumOf(netCpu([sample], idle))),
  );
  const row = (name: string, value: (sample: Sample) => number) => [
    name,
    ...chain.map((each) => spreadBy(samplesOf(each), value)),
    '',
    '',
  ];
  return table(
    [
      'µs of CPU a message',
      ...chain.map(({ inFlight }) => `${inFlight} in flight`),
      'µs/s without any',
      'peak RSS MB',
    ],
    [
      ...Object.keys(idle).map((name) => [
        name,
        ...cpu.map((each) => figure(MICROSECONDS * (each[name] ?? NaN))),
        figure(MICROSECONDS * (idle[name] ?? NaN)),
        round((peakBytes[name] ?? NaN) / 1024 ** 2),
      ]),
      [
        'all',
        ...totals.map((total) => spread(spreadOf(total))),
        figure(MICROSECONDS * sumOf(idle)),
        round(sumOf(peakBytes) / 1024 ** 2),
      ],
      row('the load generator', ({ loadCpuMsPerCall }) => MICROSECONDS * loadCpuMsPerCall),
      row('messages/s', ({ perSecond }) => perSecond),
      row('p50 ms', ({ p50Ms }) => p50Ms),
      row('p99 ms', ({ p99Ms }) => p99Ms),
    ],
  );
}

/** What goes to Redis, to its disk, and over the wire. */
function trafficTable(chain: readonly Measurements[]): string {
  const rows: [name: string, meter: string][] = [
    ['calls of scripts', `${SHARED_REDIS} scripts`],
    ['commands of Redis, those in scripts too', `${SHARED_REDIS} commands`],
    ['times that Redis has something to read', `${SHARED_REDIS} reads`],
    ['bytes to Redis', `${SHARED_REDIS} bytesIn`],
    ['bytes from Redis', `${SHARED_REDIS} bytesOut`],
    ['bytes added to the append-only file', `${SHARED_REDIS} fileBytes`],
    ['bytes from process to process, all told', 'loopbackBytes'],
  ];
  return table(
    ['a message', ...chain.map(({ inFlight }) => `${inFlight} in flight`)],
    rows.map(([name, meter]) => [
      name,
      ...chain.map((each) => spreadBy(samplesOf(each), ({ meters }) => meters[meter] ?? NaN)),
    ]),
  );
}

/** What the Redis of each service does for a message. */
function redisTable({ chain, ownRedises }: Capacity): string {
  return table(
    [
      'Redis of',
      'appendfsync',
      'in flight',
      'commands a message',
      'µs of its one thread',
      'messages/s at the most',
    ],
    [
      ...chain
        .slice(-2)
        .map((each) => [
          'all services',
          'always',
          String(each.inFlight),
          ...redisUse(samplesOf(each), SHARED_REDIS),
        ]),
      ...SERVICES.flatMap((service) =>
        SYNCS.flatMap((sync) =>
          ownRedises[sync].map((each) => [
            service,
            sync,
            String(each.inFlight),
            ...redisUse(samplesOf(each), redisOf(service)),
          ]),
        ),
      ),
    ],
  );
}

/** Commands a message, time of the thread, and what would fill it. */
function redisUse(samples: readonly Sample[], redis: string): string[] {
  const micros = samples.map(({ meters }) => MICROSECONDS * (meters[`${redis} mainThreadMs`] ?? NaN));
  const { median, min, max } = spreadOf(micros);
  const perSecond = spread({ median: 1e6 / median, min: 1e6 / max, max: 1e6 / min });
  const commands = medianOf(samples.map(({ meters }) => meters[`${redis} commands`] ?? NaN));
  return [figure(commands), spread({ median, min, max }), perSecond];
}

function operationsTable({ operations, idleCpuMsPerSecond }: Capacity): string {
  return table(
    ['call', 'in flight', 'calls/s', 'ms of CPU', 'of which'],
    operations.map((each) => {
      const samples = samplesOf(each);
      const net = netCpu(samples, idleCpuMsPerSecond);
      const parts = Object.entries(mainParts(net))
        .toSorted(([, one], [, other]) => other - one)
        .map(([name, ms]) => `${name} ${figure(ms)}`);
      return [
        each.name,
        String(each.inFlight),
        spreadBy(samples, ({ perSecond }) => perSecond),
        spread(spreadOf(samples.map((sample) => sumOf(netCpu([sample], idleCpuMsPerSecond))))),
        parts.join(', '),
      ];
    }),
  );
}

function storageTable({ storage }: Capacity): string {
  const { user, subscription, firstMessage, message, longMessage } = storage;
  const { messageWithRequestId, firstNotification, notification } = storage;
  const rows: [name: string, memory: number, file: number][] = [
    ['an account', user.memory, user.file],
    ['its subscription', subscription.memory, subscription.file],
    [`a message of ${CONTENT_BYTES} bytes`, message.memory, message.file],
    ['a message of 1,000 bytes', longMessage.memory, longMessage.file],
    [
      'the id of a request, for 24 hours',
      messageWithRequestId.memory - message.memory,
      messageWithRequestId.file - message.file,
    ],
    [
      "two users' first message to each other, besides",
      firstMessage.memory - message.memory,
      firstMessage.file - message.file,
    ],
    ['an unread notification', notification.memory, notification.file],
    [
      "a user's first notification, besides",
      firstNotification.memory - notification.memory,
      firstNotification.file - notification.file,
    ],
  ];
  return table(
    ['one more of', 'bytes of memory', 'bytes in a rewritten file'],
    rows.map(([name, memory, file]) => [name, round(memory), round(file)]),
  );
}

function watchersTable({ watching }: Capacity): string {
  return table(
    [
      'a watcher',
      'process',
      'KB (PSS)',
      'KB (RSS)',
      'ms of CPU to let it in',
      'µs of CPU a second, idle',
      'µs of CPU to show it one',
    ],
    watching.flatMap(({ name, watchersPerUser, rounds }) => {
      const by = (value: (round: WatchingRound) => number | undefined) =>
        spreadOf(rounds.map((each) => value(each) ?? NaN));
      const held = (process: string, kind: 'pss' | 'rss') => {
        // What Redis takes is told by Redis itself, for each user who is watched.
        if (process === SHARED_REDIS) {
          return watchersPerUser === 1 ? spread(by(({ redisBytes }) => redisBytes / 1024)) : '';
        }
        const memoryOf = (each: WatchingRound) => each.memory.find((holder) => holder.process === process);
        if (!rounds.some(memoryOf)) return '';
        return spread(by((each) => (memoryOf(each)?.[kind] ?? NaN) / 1024));
      };
      return ['frontend_service_api', 'frontend_service_grpc', 'notification_service_grpc', SHARED_REDIS]
        .filter((process) => process !== 'frontend_service_api' || name.startsWith('GET'))
        .map((process) => [
          watchersPerUser === 1 ? name : `${name}, ${watchersPerUser} a user`,
          process,
          held(process, 'pss'),
          held(process, 'rss'),
          spread(by(({ connectCpuMs }) => connectCpuMs[process])),
          spread(by(({ restCpuMsPerSecond }) => MICROSECONDS * (restCpuMsPerSecond[process] ?? NaN))),
          spread(by(({ shownCpuMs }) => MICROSECONDS * (shownCpuMs[process] ?? NaN))),
        ]);
    }),
  );
}

function predictionsTable({ predictions }: Capacity): string {
  return table(
    [
      'run',
      'what',
      'a second: predicted',
      'measured',
      'error',
      'ms of CPU each: predicted',
      'measured',
      'error',
    ],
    predictions.map(({ name, unit, predicted, measured }) => {
      const perSecond = spreadOf(measured.map((each) => each.perSecond));
      const cpuMs = spreadOf(measured.map((each) => each.cpuMs));
      return [
        name,
        unit,
        figure(predicted.perSecond),
        spread(perSecond),
        errorOf(perSecond.median, predicted.perSecond),
        figure(predicted.cpuMs),
        spread(cpuMs),
        errorOf(cpuMs.median, predicted.cpuMs),
      ];
    }),
  );
}

function errorOf(value: number, predicted: number): string {
  const error = 100 * (value / predicted - 1);
  return `${error > 0 ? '+' : ''}${error.toFixed(0)} %`;
}

function assumptionsTable(): string {
  const names: Record<keyof typeof assumptions, string> = {
    contentBytes: 'bytes of a message’s content',
    watchersPerMessage: 'browsers that show a message',
    readsPerMessage: 'pages of messages read, and conversations marked as read, for a message',
    meanOfPeak: "a day's mean, as a share of the busiest hour",
    usersPerWatcher: 'accounts for each browser that watches',
    conversationsPerUser: 'conversations of an account',
    logInsPerWatcherAndDay: 'log-ins a day for each browser that watches',
    coreShare: 'share of a core that is planned to be busy',
    leastProcesses: 'processes of each kind at the least',
    watchersPerProcess: '`MAX_WATCHES`',
    tokenSeconds: 'seconds until a session asks for a new token',
    messageDays: 'days that messages are kept (`MESSAGE_MAX_AGE_DAYS`)',
    notificationDays: 'days that notifications are kept (`NOTIFICATION_MAX_AGE_DAYS`)',
    primaryBytes: 'GB that a primary is planned to hold',
    networkBitsPerSecond: 'Gbit/s of a network',
    outageSeconds: 'seconds that NotificationService is away',
  };
  const values: Partial<Record<keyof typeof assumptions, number>> = {
    primaryBytes: assumptions.primaryBytes / 1024 ** 3,
    networkBitsPerSecond: assumptions.networkBitsPerSecond / 1e9,
  };
  return table(
    ['taken for granted', 'value'],
    keysOf(names).map((key) => [names[key], figure(values[key] ?? assumptions[key])]),
  );
}

function keysOf(names: Record<keyof typeof assumptions, string>): (keyof typeof assumptions)[] {
  return Object.keys(names).filter((key): key is keyof typeof assumptions => key in assumptions);
}

const columnsOf = (plans: readonly Plan[]) =>
  plans.map(({ demand: { name, messagesPerSecond, watchers } }) =>
    name.includes('watchers')
      ? `${name}, ${round(messagesPerSecond)} messages/s`
      : `${name}, ${round(watchers)} watchers`,
  );

function processesTable(plans: readonly Plan[]): string {
  const kinds = plans[0]?.processes.map(({ kind }) => kind) ?? [];
  return table(
    ['processes (busy cores; GB)', ...columnsOf(plans)],
    kinds.map((kind) => [
      kind,
      ...plans.map(({ processes }) => {
        const plan = processes.find((each) => each.kind === kind);
        if (!plan) return '';
        return `${round(plan.count)} (${figure(plan.cores)}; ${gigabytes(plan.bytes)})`;
      }),
    ]),
  );
}

function resourcesTable(plans: readonly Plan[]): string {
  const rows: [name: string, value: (plan: Plan) => string][] = [
    ['cores that are busy', ({ cores }) => figure(cores)],
    [
      `cores to have, at ${100 * assumptions.coreShare} %`,
      ({ cores }) => figure(cores / assumptions.coreShare),
    ],
    ['GB of memory', ({ bytes }) => gigabytes(bytes)],
    ['Gbit/s between processes', ({ networkBitsPerSecond }) => figure(networkBitsPerSecond / 1e9)],
    ['GB written to append-only files a day', ({ appendedBytesPerDay }) => gigabytes(appendedBytesPerDay)],
    ['GB more in memory a day, while nothing goes', ({ memoryBytesPerDay }) => gigabytes(memoryBytesPerDay)],
    [
      'GB more in rewritten files a day, while nothing goes',
      ({ fileBytesPerDay }) => gigabytes(fileBytesPerDay),
    ],
    [
      `GB in rewritten files with ${assumptions.messageDays} days kept`,
      ({ fileBytesPerDay }) => gigabytes(assumptions.messageDays * fileBytesPerDay),
    ],
  ];
  return table(
    ['all told', ...columnsOf(plans)],
    rows.map(([name, value]) => [name, ...plans.map(value)]),
  );
}

function primariesTable(plans: readonly Plan[], figures: Figures): string {
  return table(
    [
      'Redis of (primaries: busy cores; GB)',
      `messages/s at ${100 * assumptions.coreShare} % of a core`,
      ...columnsOf(plans),
    ],
    SERVICES.map((service) => [
      service,
      round((assumptions.coreShare * 1_000) / figures.redisCpuMs[service]),
      ...plans.map(({ redis }) => {
        const plan = redis.find(({ part }) => part === service);
        return plan ? `${round(plan.primaries)}: ${figure(plan.busy)}; ${gigabytes(plan.bytes)}` : '';
      }),
    ]),
  );
}

/** The three tightest limits, and the tightest that more processes do not cure. */
function limitsTable(plans: readonly Plan[]): string {
  const rows: [name: string, value: (plan: Plan) => string][] = [
    ['first, with one of everything', limitAt(0)],
    ['second', limitAt(1)],
    ['third', limitAt(2)],
    ['first that replicas do not cure', limitAt(0, notCured)],
    ['second of those', limitAt(1, notCured)],
  ];
  return table(
    ['what is asked of it, as a multiple of all of it', ...columnsOf(plans)],
    rows.map(([name, value]) => [name, ...plans.map(value)]),
  );
}

/** Tells one limit of a plan, by its place among those that are chosen. */
function limitAt(
  position: number,
  choose: (plan: Plan) => Limit[] = ({ limits }) => limits,
): (plan: Plan) => string {
  return (plan) =>
    choose(plan)
      .slice(position, position + 1)
      .map(({ name, used }) => `${name}: ${figure(used)} ×`)
      .join('');
}

function notCured({ limits }: Plan): Limit[] {
  return limits.filter(({ isCuredByReplicas }) => !isCuredByReplicas);
}

function recoveryTable(plans: readonly Plan[]): string {
  const rows: [name: string, value: (plan: Plan) => string][] = [
    [
      's until all watchers are back, who lost their connection at once',
      ({ reconnect: { seconds, kind } }) => `${figure(seconds)}, ${kind} last`,
    ],
    ['min until all are back, should they have to log in again', (plan) => figure(plan.logInSeconds / 60)],
    [
      `messages in the outbox after ${assumptions.outageSeconds} s without NotificationService`,
      (plan) => round(plan.outboxEntries),
    ],
    ['s until it is empty again', (plan) => figure(plan.drainSeconds)],
  ];
  return table(
    ['with the processes above', ...columnsOf(plans)],
    rows.map(([name, value]) => [name, ...plans.map(value)]),
  );
}

function gigabytes(bytes: number): string {
  return figure(bytes / 1024 ** 3);
}
