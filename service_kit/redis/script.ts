import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { z } from 'zod';

/** A Lua script that Redis runs as one atomic step. */
export interface Script<Reply> {
  /** What it is called in traces and metrics. */
  readonly name: string;
  readonly lua: string;
  readonly sha: string;
  readonly reply: z.ZodType<Reply>;
}

/** Defines a script, what it is called, and what it replies. */
export function defineScript<Reply>(name: string, reply: z.ZodType<Reply>, lua: string): Script<Reply> {
  return { name, lua, sha: createHash('sha1').update(lua).digest('hex'), reply };
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

/** Runs a script as one atomic step. */
export async function runScript<Reply>(
  client: Redis,
  script: Script<Reply>,
  keys: string[],
  args: (string | number)[],
): Promise<Reply> {
  return script.reply.parse(await runInFull(client, { script, keys, args }));
}

/**
 * Runs scripts in one round trip, each by its hash, and in full where this Redis does not know it yet. Each is an atomic
 * step of its own: one that fails, fails alone.
 */
export async function runScripts(
  client: Redis,
  calls: ScriptCall[],
): Promise<PromiseSettledResult<unknown>[]> {
  const pipeline = client.pipeline();
  for (const { script, keys, args } of calls) pipeline.evalsha(script.sha, keys.length, ...keys, ...args);
  const replies = (await pipeline.exec()) ?? [];
  return Promise.all(
    calls.map(async (call, index): Promise<PromiseSettledResult<unknown>> => {
      const [error, value] = replies[index] ?? [new Error('Redis answered with nothing')];
      if (!error) return { status: 'fulfilled', value };
      if (!error.message.startsWith('NOSCRIPT')) return { status: 'rejected', reason: error };
      const [outcome] = await Promise.allSettled([runInFull(client, call)]);
      return outcome;
    }),
  );
}

async function runInFull(client: Redis, { script, keys, args }: ScriptCall): Promise<unknown> {
  return client.eval(script.lua, keys.length, ...keys, ...args);
}
