import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { z } from 'zod';

/** A Lua script that Redis runs as one atomic step. */
export interface Script<Reply> {
  readonly lua: string;
  readonly sha: string;
  readonly reply: z.ZodType<Reply>;
}

/** Defines a script and what it replies. */
export function defineScript<Reply>(reply: z.ZodType<Reply>, lua: string): Script<Reply> {
  return { lua, sha: createHash('sha1').update(lua).digest('hex'), reply };
}

/** Runs a script by its hash, and in full where this Redis does not know it yet. */
export async function runScript<Reply>(
  client: Redis,
  script: Script<Reply>,
  keys: string[],
  args: (string | number)[],
): Promise<Reply> {
  const reply: unknown = await client
    .evalsha(script.sha, keys.length, ...keys, ...args)
    .catch((error: unknown) => {
      if (error instanceof Error && error.message.startsWith('NOSCRIPT')) {
        return client.eval(script.lua, keys.length, ...keys, ...args);
      }
      throw error;
    });
  return script.reply.parse(reply);
}
