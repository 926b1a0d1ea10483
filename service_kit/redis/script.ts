import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { ServiceError } from '../errors.js';

/** A Lua script as Redis knows it. */
interface ScriptText {
  /** What it is called in traces and metrics. */
  readonly name: string;
  readonly lua: string;
  readonly sha: string;
  readonly acknowledges: boolean;
}

/** A Lua script that Redis runs as one atomic step. */
export interface Script<Reply> extends ScriptText {
  readonly reply: z.ZodType<Reply>;
}

/** A Lua script that handles items: many in one run, each as a step of its own. */
export interface BatchScript<Item, Outcome> extends ScriptText {
  readonly outcome: z.ZodType<Outcome>;
  /** Makes the text that the script is given. */
  readonly encode: (item: Item) => string;
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
  return { name, lua, sha: digest(lua), reply, acknowledges };
}

/**
 * Defines a script that handles items: what a run costs besides, they share. It is told as a Lua function `handle(item)` that
 * returns the item's outcome, or fails before its first write: then its item fails alone. Nothing else comes in between the
 * items of a run, and after a crash of Redis all of a run is there, or nothing.
 *
 * @param lua defines `handle`; an item comes as its JSON says, but that what is undefined is missing
 */
export function defineBatchScript<Item, Outcome>(
  name: string,
  outcome: z.ZodType<Outcome>,
  lua: string,
): BatchScript<Item, Outcome> {
  const whole = `${lua}\n${handleAllLua}`;
  return {
    name,
    lua: whole,
    sha: digest(whole),
    outcome,
    encode: encodeForLua,
    acknowledges: true,
  };
}

/**
 * Makes JSON that Lua can read: where half a surrogate pair is in a text, it becomes U+FFFD, as in anything that is written as UTF-8.
 */
export function encodeForLua(value: unknown): string {
  const json = JSON.stringify(value);
  if (!json.includes(String.raw`\ud`)) return json;
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'string' ? part.toWellFormed() : part));
}

function digest(lua: string): string {
  return createHash('sha1').update(lua).digest('hex');
}

/**
 * What Redis refuses in general, as a replica or with a full memory, it refuses at the first write of a run. It is no item's fault,
 * and the run fails as a whole, with nothing written.
 */
const handleAllLua = `
  local function run(text) return handle(cjson.decode(text)) end
  local outcomes = {}
  for index, text in ipairs(ARGV) do
    local is_done, outcome = pcall(run, text)
    if is_done then
      outcomes[index] = { outcome = outcome }
    else
      -- A text in some versions of Redis, and a table in others.
      local reason = type(outcome) == 'table' and outcome.err or tostring(outcome)
      local code = string.match(reason, '^%u+ ')
      if code and code ~= 'ERR ' and code ~= 'WRONGTYPE ' then return { err = reason } end
      outcomes[index] = { failure = reason }
    end
  end
  return cjson.encode(outcomes)
`;

/**
 * Lua for a script that writes: `require_type(key, type)` fails where a key holds something else, and `require_types(types)` where
 * one in `KEYS` holds something else than the type at its place. Redis does not roll back, so whatever can fail has to be checked
 * before the first write.
 */
export const requireTypesLua = `
  local has_type = {}
  local function require_type(key, expected)
    if has_type[key] == expected then return end
    local found = redis.call('TYPE', key).ok
    if found ~= expected and found ~= 'none' then
      error({ err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. expected })
    end
    has_type[key] = expected
  end
  local function require_types(types)
    for index, expected in ipairs(types) do require_type(KEYS[index], expected) end
  end
`;

/** A script with what it works on. */
export type ScriptCall =
  | { script: Script<unknown>; keys: string[]; args: (string | number)[] }
  | { script: BatchScript<never, unknown>; item: string };

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

/** How many items one run handles at the most, so that Redis is never held up for long. */
const MAX_ITEMS_A_RUN = 64;

/** One run of a script: what Redis is given, and which calls it is for, by their positions. */
interface Run {
  script: ScriptText;
  keys: string[];
  args: (string | number)[];
  positions: number[];
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
    const { script } = call;
    if ('keys' in call) {
      const { keys, args } = call;
      runs.push({
        script,
        keys,
        args,
        positions: [position],
        read: (value) => [{ status: 'fulfilled', value }],
      });
      continue;
    }
    let run = open.get(script);
    if (!run || run.args.length === MAX_ITEMS_A_RUN) {
      run = { script, keys: [], args: [], positions: [], read: readOutcomes };
      runs.push(run);
      open.set(script, run);
    }
    run.args.push(call.item);
    run.positions.push(position);
  }
  return runs;
}

function settle(
  { positions, read }: Run,
  result: PromiseSettledResult<unknown>,
  outcomes: PromiseSettledResult<unknown>[],
): void {
  const own = result.status === 'fulfilled' ? read(result.value) : [];
  for (const [index, position] of positions.entries()) outcomes[position] = own[index] ?? result;
}

const batchReply = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(z.array(z.object({ outcome: z.unknown().optional(), failure: z.string().optional() })));

function readOutcomes(reply: unknown): PromiseSettledResult<unknown>[] {
  return batchReply
    .parse(reply)
    .map(({ outcome, failure }) =>
      failure === undefined
        ? { status: 'fulfilled', value: outcome }
        : { status: 'rejected', reason: new Error(failure) },
    );
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
