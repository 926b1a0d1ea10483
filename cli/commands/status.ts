import { InvalidArgumentError } from '@commander-js/extra-typings';
import { readGrpcHealth } from '@messaging/service_kit/grpc/probe';
import { readReadiness } from '@messaging/service_kit/rest/probe';
import { addressOf, type Layout, type SuiteProcess, suiteProcesses } from '#scripts/suite';
import type { Parent, Run } from '../command.js';
import { describeFailure, exitCodes } from '../errors.js';
import { outboxes } from '../outboxes.js';
import { oneLine, toTable } from '../output.js';
import type { SuiteClients } from '../suite-clients.js';

const PROBE_TIMEOUT_MS = 2_000;

interface ProcessStatus {
  name: string;
  address: string;
  state: 'serving' | 'not serving' | 'unreachable';
  /** What it says that it lacks. */
  missing: string[];
  /** The services that it calls and can't reach, as it says. */
  unreachable_peers: string[];
}

interface OutboxStatus {
  stream: string;
  from: string;
  to: string;
  entries: number;
  oldest_age_seconds: number;
  dead_letters: number;
}

interface RedisStatus {
  address: string;
  /** Undefined where it answers. */
  failure?: string;
  outboxes: OutboxStatus[];
}

/** Adds `status`. */
export function addStatusCommand(parent: Parent, run: Run): void {
  parent
    .command('status')
    .description('tell whether anything is down or stuck, and where; the exit code is 1 then')
    .option(
      '--stuck-after <seconds>',
      'how long a delivery may wait before it counts as stuck',
      readSeconds,
      30,
    )
    .action(async ({ stuckAfter }) =>
      run(async (suite, output) => {
        const [processes, redis] = await Promise.all([
          Promise.all(suiteProcesses.map(async (process) => probe(process, suite.layout))),
          readRedis(suite),
        ]);
        // What may be a cause comes before what may follow from it.
        const problems = [
          ...(redis.failure === undefined ? [] : [redis.failure]),
          ...processes.flatMap((process) => stateProblemOf(process)),
          ...redis.outboxes.flatMap((outbox) => problemsOfOutbox(outbox, stuckAfter)),
          ...processes.flatMap((process) => peerProblemOf(process)),
        ];
        const isWell = problems.length === 0;
        const text = [
          tableOfProcesses(processes, redis),
          ...(redis.outboxes.length === 0 ? [] : [tableOfOutboxes(redis.outboxes)]),
          isWell ? 'All is well.' : problems.map((problem) => `! ${oneLine(problem)}`).join('\n'),
        ].join('\n\n');
        output.say(text, { ok: isWell, processes, redis, problems });
        return isWell ? exitCodes.done : exitCodes.refused;
      }),
    );
}

function readSeconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number of seconds.');
}

async function probe(process: SuiteProcess, layout: Layout): Promise<ProcessStatus> {
  const { name, door, service } = process;
  const address = addressOf(name, layout);
  if (door === 'grpc') {
    const health = await readGrpcHealth(service, address, PROBE_TIMEOUT_MS);
    const state = health === undefined ? 'unreachable' : health === 'SERVING' ? 'serving' : 'not serving';
    return { name, address, state, missing: [], unreachable_peers: [] };
  }
  const readiness = await readReadiness(service, address, PROBE_TIMEOUT_MS);
  const state = readiness === undefined ? 'unreachable' : readiness.success ? 'serving' : 'not serving';
  const { missing = [], unreachable_peers = [] } = readiness ?? {};
  return { name, address, state, missing, unreachable_peers };
}

async function readRedis(suite: SuiteClients): Promise<RedisStatus> {
  // Loaded by this command, as its client is: others ask nothing of Redis.
  const { describeRedis } = await import('@messaging/service_kit/redis/connection');
  const address = describeRedis(suite.redisConfig);
  try {
    const redis = await suite.redis();
    const found: OutboxStatus[] = [];
    for (const { stream, from, to } of outboxes) {
      const { entries, oldestAgeMs, deadLetters } = await redis.readOutbox(stream);
      const oldest_age_seconds = Math.round(oldestAgeMs / 1_000);
      found.push({ stream, from, to, entries, oldest_age_seconds, dead_letters: deadLetters });
    }
    return { address, outboxes: found };
  } catch (error) {
    return { address, failure: describeFailure(error).message, outboxes: [] };
  }
}

function stateProblemOf({ name, state, missing }: ProcessStatus): string[] {
  const because = missing.length > 0 ? `: it can not reach ${missing.join(', ')}` : '';
  return state === 'serving' ? [] : [`${name} is ${state}${because}`];
}

function peerProblemOf({ name, unreachable_peers }: ProcessStatus): string[] {
  return unreachable_peers.length === 0 ? [] : [`${name} can not reach ${unreachable_peers.join(', ')}`];
}

function problemsOfOutbox(outbox: OutboxStatus, stuckAfterSeconds: number): string[] {
  const { stream, from, to, entries, oldest_age_seconds, dead_letters } = outbox;
  const isStuck = entries > 0 && oldest_age_seconds > stuckAfterSeconds;
  return [
    ...(isStuck
      ? [
          `${stream} is stuck: ${entries} of what ${from} has for ${to} wait, for ${oldest_age_seconds} s so far`,
        ]
      : []),
    ...(dead_letters === 0
      ? []
      : [`${stream} has given up ${dead_letters}: see why with \`suite dead-letters list\``]),
  ];
}

function tableOfProcesses(processes: ProcessStatus[], { address, failure }: RedisStatus): string {
  return toTable([
    ['PROCESS', 'ADDRESS', 'STATE'],
    ...processes.map(({ name, address: at, state }) => [name, at, state]),
    ['redis', address, failure === undefined ? 'serving' : 'unreachable'],
  ]);
}

function tableOfOutboxes(found: OutboxStatus[]): string {
  return toTable([
    ['OUTBOX', 'FROM', 'TO', 'ENTRIES', 'OLDEST', 'DEAD LETTERS'],
    ...found.map(({ stream, from, to, entries, oldest_age_seconds, dead_letters }) => [
      stream,
      from,
      to,
      String(entries),
      entries === 0 ? '-' : `${oldest_age_seconds} s`,
      String(dead_letters),
    ]),
  ]);
}
