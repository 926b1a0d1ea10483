import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { defineScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';
import { tokenKeyRing, type TokenKeyRing } from '../domain/token-keys.js';
import { key } from './keys.js';

/** The keys that {@link endSessionsLua} works on, in its order. */
export function sessionKeys(email: string): string[] {
  return [key.sessionsOf(email), key.endedSessions];
}

/** What `end_sessions` finds a session by, with its id. */
export const SESSION_PREFIX = key.session('');

/** How many sessions one user may have: the oldest end. */
const MAX_SESSIONS = 100;

/** How many ended sessions are told at once. */
const MAX_TOLD = 1_000;

/**
 * Lua for scripts after which none of a user's sessions is good: `end_sessions(sessions, ended, ids, prefix, token_lifetime)`
 * ends those with the ids. A token of theirs may be around for `token_lifetime` milliseconds.
 */
export const endSessionsLua = `
  local function end_sessions(sessions, ended, ids, prefix, token_lifetime)
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local function count(number) return string.format('%.0f', number) end
    for _, id in ipairs(ids) do
      redis.call('DEL', prefix .. id)
      redis.call('ZREM', sessions, id)
      redis.call('XADD', ended, 'MINID', count(now - token_lifetime), '*',
        'session', id, 'forget_at', count(now + token_lifetime))
    end
  end
`;

/** A session as it is stored. */
export const sessionRecord = z.object({ email: z.string(), secret_hash: z.string() });
export type SessionRecord = z.output<typeof sessionRecord>;

/** A session that was ended before its time. */
export interface EndedSession {
  session_id: string;
  forget_at: number;
}

/** The sessions in Redis, and the keys that their tokens are signed with. */
export class SessionStore {
  /** @param tokenLifetimeMs for how long a token of an ended session may be around */
  constructor(
    private readonly connection: RedisConnection,
    private readonly tokenLifetimeMs: number,
  ) {}

  /**
   * Stores a new session, provided that the account is still `version`, and that nothing is left at its address by an account
   * that had it before. A user who has too many loses the oldest.
   *
   * @returns `changed` or `occupied`, with nothing stored, where that is not so.
   */
  async addSession(
    id: string,
    record: SessionRecord,
    version: string,
    lifetimeMs: number,
  ): Promise<'added' | 'changed' | 'occupied'> {
    return this.connection.run(
      addSessionScript,
      [key.user(record.email), key.session(id), ...sessionKeys(record.email), key.departing(record.email)],
      [
        version,
        JSON.stringify(record),
        id,
        Date.now(),
        lifetimeMs,
        MAX_SESSIONS,
        SESSION_PREFIX,
        this.tokenLifetimeMs,
        record.email,
      ],
    );
  }

  async findSession(id: string): Promise<SessionRecord | undefined> {
    const text = await this.connection.client.get(key.session(id));
    return text === null ? undefined : sessionRecord.parse(JSON.parse(text));
  }

  /** Lets a session go on from now. @returns false when it has ended. */
  async extendSession(id: string, email: string, lifetimeMs: number): Promise<boolean> {
    const extended = await this.connection.run(
      extendSessionScript,
      [key.session(id), key.sessionsOf(email)],
      [id, Date.now(), lifetimeMs],
    );
    return extended === 1;
  }

  /** Ends a session; one that has ended stays so. */
  async endSession(id: string, email: string): Promise<void> {
    await this.connection.run(
      endSessionScript,
      [...sessionKeys(email), key.session(id)],
      [id, SESSION_PREFIX, this.tokenLifetimeMs],
    );
  }

  /** Lists sessions that were ended, those after a position first. */
  async listEnded(after: string): Promise<{ sessions: EndedSession[]; nextAfter: string; hasMore: boolean }> {
    const start = after === '' ? '-' : `(${after}`;
    const entries = await this.connection.client.xrange(key.endedSessions, start, '+', 'COUNT', MAX_TOLD);
    return {
      sessions: entries.map(([, [, session_id = '', , forgetAt = '0']]) => ({
        session_id,
        forget_at: Number(forgetAt),
      })),
      nextAfter: entries.at(-1)?.[0] ?? after,
      hasMore: entries.length === MAX_TOLD,
    };
  }

  /** Reads the keys that tokens are signed with, and the text that they were read from. */
  async readTokenKeys(): Promise<{ ring: TokenKeyRing; version: string }> {
    const version = (await this.connection.client.get(key.tokenKeys)) ?? '';
    return { ring: version === '' ? [] : tokenKeyRing.parse(JSON.parse(version)), version };
  }

  /** Replaces them, provided that they are still `version`. @returns whether they were. */
  async replaceTokenKeys(version: string, ring: TokenKeyRing): Promise<boolean> {
    const replaced = await this.connection.run(
      replaceTokenKeysScript,
      [key.tokenKeys],
      [version, JSON.stringify(ring)],
    );
    return replaced === 1;
  }
}

const addSessionScript = defineScript(
  'addSession',
  z.enum(['added', 'changed', 'occupied']),
  `
  ${endSessionsLua}
  local version, record, id, now, lifetime, max, prefix, token_lifetime, email = unpack(ARGV)
  local session, sessions, ended, departing = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
  if redis.call('GET', KEYS[1]) ~= version then return 'changed' end
  for _, departure in ipairs(redis.call('ZRANGE', departing, 0, -1)) do
    if cjson.decode(departure).email == email then return 'occupied' end
  end
  redis.call('SET', session, record, 'PX', lifetime)
  redis.call('ZREMRANGEBYSCORE', sessions, '-inf', now)
  redis.call('ZADD', sessions, string.format('%.0f', now + lifetime), id)
  redis.call('PEXPIRE', sessions, lifetime)
  local excess = redis.call('ZCARD', sessions) - max
  if excess > 0 then
    end_sessions(sessions, ended, redis.call('ZRANGE', sessions, 0, excess - 1), prefix, token_lifetime)
  end
  return 'added'
  `,
);

const extendSessionScript = defineScript(
  'extendSession',
  z.number(),
  `
  local id, now, lifetime = unpack(ARGV)
  if redis.call('PEXPIRE', KEYS[1], lifetime) == 0 then return 0 end
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + lifetime), id)
  redis.call('PEXPIRE', KEYS[2], lifetime)
  return 1
  `,
);

const endSessionScript = defineScript(
  'endSession',
  z.number(),
  `
  ${endSessionsLua}
  local id, prefix, token_lifetime = unpack(ARGV)
  if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
  end_sessions(KEYS[1], KEYS[2], { id }, prefix, token_lifetime)
  return 1
  `,
);

const replaceTokenKeysScript = defineScript(
  'replaceTokenKeys',
  z.number(),
  `
  if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
  redis.call('SET', KEYS[1], ARGV[2])
  return 1
  `,
);
