import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { z } from 'zod';
import { ServiceError } from '../errors.js';

/** A Lua script that Redis runs as one atomic step. */
export interface Script<Reply> {
  /** What it is called in traces and metrics. */
  readonly name: string;
  readonly lua: string;
  readonly sha: string;
  readonly reply: z.ZodType<Reply>;
  readonly acknowledges: boolean;
}

/**
 * Defines a script, what it is called, and what it replies.
 *
 * @param acknowledges whether somebody may be told by its reply that something is stored, be it by an earlier run: the reply
 *   then waits for the replicas, where it has to. A script that only reads does not, nor one whose loss does no harm
 */
export function defineScript<Reply>(
  name: string,
  reply: z.ZodType<Reply>,
  lua: string,
  { acknowledges = true } = {},
): Script<Reply> {
  return { name, lua, sha: createHash('sha1').update(lua).digest('hex'), reply, acknowledges };
}

/**
 * Lua for a script that writes: `require_types(types)` fails where a key in `KEYS` holds something else than the type at
 * its place. Redis does not roll back, so whatever can fail has to be checked before the first write.
 */
export const requireTypesLua = `
  local function require_types(types)
    for index, expected in ipairs(types) do
      local found = redis.call('TYPE', KEYS[index]).ok
      if found ~= expected and found ~= 'none' then
        error({ err = 'WRONGTYPE ' .. KEYS[index] .. ' is a ' .. found .. ', not a ' .. expected })
      end
    end
  end
`;

/** A script with what it works on. */
export interface ScriptCall {
  script: Script<unknown>;
  keys: string[];
  args: (string | number)[];
}

/** How many replicas everything written so far has to have reached, and how long that may take. */
export interface ReplicaWait {
  replicas: number;
  timeoutMs: number;
}

/** Where nobody listens. */
const MARK_CHANNEL = 'replicated';

/** Runs a script as one atomic step. */
export async function runScript<Reply>(
  client: Redis,
  script: Script<Reply>,
  keys: string[],
  args: (string | number)[],
): Promise<Reply> {
  return script.reply.parse(await client.eval(script.lua, keys.length, ...keys, ...args));
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
  const outcomes = await runAll(client, 'evalsha', calls, wait);
  const unknown = calls.filter((_, index) => isUnknownScript(outcomes[index]));
  if (unknown.length === 0) return outcomes;
  const inFull = await runAll(client, 'eval', unknown, wait);
  return outcomes.map((outcome) => (isUnknownScript(outcome) ? (inFull.shift() ?? outcome) : outcome));
}

async function runAll(
  client: Redis,
  command: 'eval' | 'evalsha',
  calls: ScriptCall[],
  wait: ReplicaWait | undefined,
): Promise<PromiseSettledResult<unknown>[]> {
  const pipeline = client.pipeline();
  for (const { script, keys, args } of calls) {
    pipeline[command](command === 'eval' ? script.lua : script.sha, keys.length, ...keys, ...args);
  }
  // Since Redis 7.2, WAIT is for what this connection has written. Where a script finds that an earlier one has done it all, that
  // one may have come by another connection: what is published is replicated, too, and comes after it.
  if (wait) pipeline.publish(MARK_CHANNEL, '').wait(wait.replicas, wait.timeoutMs);
  const replies = (await pipeline.exec()) ?? [];
  const failure = wait && failureOfWait(replies.at(-1), wait);
  return calls.map((_, index) => {
    const [error, value] = replies[index] ?? [new Error('Redis answered with nothing')];
    if (error) return { status: 'rejected', reason: error };
    return failure ? { status: 'rejected', reason: failure } : { status: 'fulfilled', value };
  });
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
