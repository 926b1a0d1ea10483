import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';

/** A Lua script as Redis knows it. */
export interface ScriptText {
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

/** A Lua script that handles items: many in one run, each with an outcome of its own. */
export interface BatchScript<Field extends string, Outcome> extends ScriptText {
  /** What an item has, in the order in which the script is given it. */
  readonly fields: readonly Field[];
  readonly outcome: z.ZodType<Outcome>;
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
 * Defines a script that handles items: what a run costs besides, they share. It is told as two Lua functions. `handle(item)`
 * returns the item's outcome, or fails before its first write: then its item fails alone. It may leave what it would write, and
 * parts of the outcome, to `finish()`, which ends the run: so what several items add to the same key is added by one command. Whatever can
 * fail is up to `handle`; should `finish` fail, so does the run. Nothing else comes in between the items of a run, and after a
 * crash of Redis all of a run is there, or nothing.
 *
 * @param fields what an item has: each is a text, of which the script gets what UTF-8 can say
 * @param lua defines both. An outcome must not be nil, nor an empty table, which could be a list as well as an object
 */
export function defineBatchScript<Field extends string, Outcome>(
  name: string,
  fields: readonly Field[],
  outcome: z.ZodType<Outcome>,
  lua: string,
): BatchScript<Field, Outcome> {
  const whole = `${lua}\n${handleAllLua(fields)}`;
  return { name, lua: whole, sha: digest(whole), fields, outcome, acknowledges: true };
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
 * The arguments are the fields of all items, one item after the other.
 *
 * What Redis refuses in general, as a replica or with a full memory, it refuses at the first write of a run. It is no item's fault,
 * and the run fails as a whole, with nothing written.
 */
function handleAllLua(fields: readonly string[]): string {
  const item = fields.map((field, index) => `${field} = ARGV[at + ${index}]`).join(', ');
  return `
  -- A text in some versions of Redis, and a table in others.
  local function reason_of(failure) return type(failure) == 'table' and failure.err or tostring(failure) end

  local outcomes, failures = {}, {}
  for at = 1, #ARGV, ${fields.length} do
    local is_done, outcome = pcall(handle, { ${item} })
    if not is_done then
      local reason = reason_of(outcome)
      local code = string.match(reason, '^%u+ ')
      if code and code ~= 'ERR ' and code ~= 'WRONGTYPE ' then return { err = reason } end
      failures[tostring(#outcomes)] = reason
    end
    outcomes[#outcomes + 1] = is_done and outcome
  end
  local is_done, failure = pcall(finish)
  if not is_done then return { err = reason_of(failure) } end
  return cjson.encode({ outcomes = outcomes, failures = failures })
`;
}

/**
 * Lua for a script that writes. Redis does not roll back, so whatever can fail has to be checked before the first write.
 *
 * - `require_type(key, type)`: fails where a key holds something else
 * - `require_types(types)`: fails where one in `KEYS` holds something else than the type at its place
 * - `require_count(key)`: fails where a key holds something else than a whole number, which is exact in Lua and can still grow
 */
export const requireTypesLua = `
  -- What needs the type, and takes no longer for more: cheaper than TYPE, whose reply becomes a table.
  local probes = { string = 'STRLEN', list = 'LLEN', hash = 'HLEN', set = 'SCARD', zset = 'ZCARD', stream = 'XLEN' }
  local known_as = {}
  local function require_type(key, expected)
    if known_as[key] == expected then return end
    if type(redis.pcall(probes[expected], key)) == 'table' then
      error({ err = 'WRONGTYPE ' .. key .. ' is a ' .. redis.call('TYPE', key).ok .. ', not a ' .. expected })
    end
    known_as[key] = expected
  end
  local function require_types(types)
    for index, expected in ipairs(types) do require_type(KEYS[index], expected) end
  end
  local function require_count(key)
    if known_as[key] == 'count' then return end
    local text = redis.pcall('GET', key)
    if text and not (type(text) == 'string' and #text <= 15 and string.match(text, '^%d+$')) then
      error({ err = 'WRONGTYPE ' .. key .. ' is not a whole number' })
    end
    known_as[key] = 'count'
  end
`;

/** A script with what it works on. */
export type ScriptCall =
  | { script: Script<unknown>; keys: string[]; args: (string | number)[] }
  | { script: BatchScript<string, unknown>; item: string[] };

/** Runs a script as one atomic step. */
export async function runScript<Reply>(
  client: Redis,
  script: Script<Reply>,
  keys: string[],
  args: (string | number)[],
): Promise<Reply> {
  return script.reply.parse(await client.eval(script.lua, keys.length, ...keys, ...args));
}
