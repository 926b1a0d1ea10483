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

/** A Lua script that handles items: many in one run, each as a step of its own. */
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
 * Defines a script that handles items: what a run costs besides, they share. It is told as a Lua function `handle(item)` that
 * returns the item's outcome, or fails before its first write: then its item fails alone. Nothing else comes in between the
 * items of a run, and after a crash of Redis all of a run is there, or nothing.
 *
 * @param fields what an item has: each is a text, of which the script gets what UTF-8 can say
 * @param lua defines `handle`. An outcome must not be nil, nor an empty table, which could be a list as well as an object
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
  local outcomes, failures = {}, {}
  for at = 1, #ARGV, ${fields.length} do
    local is_done, outcome = pcall(handle, { ${item} })
    if not is_done then
      -- A text in some versions of Redis, and a table in others.
      local reason = type(outcome) == 'table' and outcome.err or tostring(outcome)
      local code = string.match(reason, '^%u+ ')
      if code and code ~= 'ERR ' and code ~= 'WRONGTYPE ' then return { err = reason } end
      failures[tostring(#outcomes)] = reason
    end
    outcomes[#outcomes + 1] = is_done and outcome
  end
  return cjson.encode({ outcomes = outcomes, failures = failures })
`;
}

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
