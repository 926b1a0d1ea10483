import type { Redis } from 'ioredis';
import { z } from 'zod';
import { ServiceError } from '../errors.js';
import type { ScriptCall, ScriptText } from './script.js';

/** How many replicas everything written so far has to have reached, and how long that may take. */
export interface ReplicaWait {
  replicas: number;
  timeoutMs: number;
}

/** Where nobody listens. */
const MARK_CHANNEL = 'replicated';

/** How much one run handles at the most, so that Redis is never held up for long: no more items, and none once it is that long. */
export const MAX_ITEMS_A_RUN = 64;
const LONG_RUN_CHARACTERS = 1_000_000;

/** One run of a script: what Redis is given, and which calls it is for, by their positions. */
interface Run {
  script: ScriptText;
  keys: string[];
  args: (string | number)[];
  positions: number[];
  /** How long its items are together. */
  characters: number;
  /** Makes the outcomes of the calls from the reply. */
  read: (reply: unknown) => PromiseSettledResult<unknown>[];
}

/**
 * Runs scripts in one round trip, each by its hash, and in full where this Redis does not know it yet. Each is an atomic
 * step of its own: one that fails, fails alone. But where replicas do not follow in time, all of them fail, with `unavailable`.
 */
export async function runScripts(
  client: Redis,
  calls: ScriptCall[],
  wait?: ReplicaWait,
): Promise<PromiseSettledResult<unknown>[]> {
  const outcomes: PromiseSettledResult<unknown>[] = [];
  const runs = toRuns(calls);
  const unknown: Run[] = [];
  for (const [index, result] of (await runAll(client, 'evalsha', runs, wait)).entries()) {
    const run = runs[index];
    if (run && isUnknownScript(result)) unknown.push(run);
    else if (run) settle(run, result, outcomes);
  }
  if (unknown.length === 0) return outcomes;
  for (const [index, result] of (await runAll(client, 'eval', unknown, wait)).entries()) {
    const run = unknown[index];
    if (run) settle(run, result, outcomes);
  }
  return outcomes;
}

/** Has calls of the same batch script share a run. */
function toRuns(calls: ScriptCall[]): Run[] {
  const runs: Run[] = [];
  const open = new Map<ScriptText, Run>();
  for (const [position, call] of calls.entries()) {
    if ('keys' in call) {
      runs.push({ ...call, positions: [position], characters: 0, read: readReply });
      continue;
    }
    const { script, item } = call;
    let run = open.get(script);
    if (!run || isFull(run)) {
      run = { script, keys: [], args: [], positions: [], characters: 0, read: readOutcomes };
      runs.push(run);
      open.set(script, run);
    }
    for (const text of item) {
      run.args.push(text);
      run.characters += text.length;
    }
    run.positions.push(position);
  }
  return runs;
}

function isFull({ positions, characters }: Run): boolean {
  return positions.length === MAX_ITEMS_A_RUN || characters >= LONG_RUN_CHARACTERS;
}

function settle(
  { positions, read }: Run,
  result: PromiseSettledResult<unknown>,
  outcomes: PromiseSettledResult<unknown>[],
): void {
  const own = result.status === 'fulfilled' ? read(result.value) : [];
  for (const [index, position] of positions.entries()) outcomes[position] = own[index] ?? result;
}

function readReply(value: unknown): PromiseSettledResult<unknown>[] {
  return [{ status: 'fulfilled', value }];
}

const batchReply = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(
    z.object({
      /** `false` where an item failed. */
      outcomes: z.array(z.unknown()),
      /** Why it did, by its position. */
      failures: z.record(z.string(), z.string()),
    }),
  );

function readOutcomes(reply: unknown): PromiseSettledResult<unknown>[] {
  const { outcomes, failures } = batchReply.parse(reply);
  return outcomes.map((value, index) => {
    const failure = failures[index];
    return failure === undefined
      ? { status: 'fulfilled', value }
      : { status: 'rejected', reason: new Error(failure) };
  });
}

async function runAll(
  client: Redis,
  command: 'eval' | 'evalsha',
  runs: Run[],
  wait: ReplicaWait | undefined,
): Promise<PromiseSettledResult<unknown>[]> {
  const [first] = runs;
  // A pipeline of one takes ioredis twice as long.
  if (first && runs.length === 1 && !wait)
    return Promise.allSettled([client[command](...commandOf(first, command))]);
  const pipeline = client.pipeline();
  for (const run of runs) pipeline[command](...commandOf(run, command));
  // Since Redis 7.2, WAIT is for what this connection has written. Where a script finds that an earlier one has done it all, that
  // one may have come by another connection: what is published is replicated, too, and comes after it.
  if (wait) pipeline.publish(MARK_CHANNEL, '').wait(wait.replicas, wait.timeoutMs);
  const replies = (await pipeline.exec()) ?? [];
  const failure = wait && failureOfWait(replies.at(-1), wait);
  return runs.map((_, index) => {
    const [error, value] = replies[index] ?? [new Error('Redis answered with nothing')];
    if (error) return { status: 'rejected', reason: error };
    return failure ? { status: 'rejected', reason: failure } : { status: 'fulfilled', value };
  });
}

function commandOf(
  { script, keys, args }: Run,
  command: 'eval' | 'evalsha',
): [script: string, keyCount: number, ...rest: (string | number)[]] {
  return [command === 'eval' ? script.lua : script.sha, keys.length, ...keys, ...args];
}

function failureOfWait(
  [error, reached]: [error: Error | null, result?: unknown] = [null],
  { replicas }: ReplicaWait,
): Error | undefined {
  if (error) return error;
  return typeof reached === 'number' && reached >= replicas ? undefined : new TooFewReplicasError();
}

/** Redis has the write, and too few of its replicas do. */
export class TooFewReplicasError extends ServiceError {
  constructor() {
    super(
      'unavailable',
      'Redis has fewer replicas at the moment than a write has to reach; try again shortly',
    );
  }
}

function isUnknownScript(outcome: PromiseSettledResult<unknown> | undefined): boolean {
  return (
    outcome?.status === 'rejected' &&
    outcome.reason instanceof Error &&
    outcome.reason.message.startsWith('NOSCRIPT')
  );
}
