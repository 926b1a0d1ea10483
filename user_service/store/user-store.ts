import { Coalescer } from '@messaging/service_kit/coalescer';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua, originFields } from '@messaging/service_kit/redis/outbox';
import { defineScript } from '@messaging/service_kit/redis/script';
import type { RequestContext } from '@messaging/service_kit/request';
import { z } from 'zod';
import { type UserRecord, userRecord } from '../domain/user.js';
import { key } from './keys.js';
import { endSessionsLua, SESSION_PREFIX, sessionKeys } from './session-store.js';

/** The database that holds the accounts. */
export const USER_DATABASE = 0;

/** The stream of new accounts that are still to be subscribed to notifications. */
export const SUBSCRIBE_STREAM = 'outbox:subscribe';

/** A record, and the text it was read from, which tells whether it has changed since. */
export interface StoredUser {
  record: UserRecord;
  version: string;
}

/** The accounts in Redis. */
export class UserStore {
  readonly #connection: RedisConnection;
  /** Looks up together what is asked at the same time. */
  readonly #lookUps: Coalescer<string, boolean>;

  /** @param tokenLifetimeMs for how long a token of an ended session may be around */
  constructor(
    connection: RedisConnection,
    private readonly tokenLifetimeMs: number,
  ) {
    this.#connection = connection;
    this.#lookUps = new Coalescer({
      name: 'Redis',
      send: async (emails) =>
        (await this.usersExist(emails)).map((value) => ({ status: 'fulfilled', value })),
    });
  }

  async userExists(email: string): Promise<boolean> {
    return this.#lookUps.run(email);
  }

  /** Tells of each email whether an account has it, in the same order. */
  async usersExist(emails: string[]): Promise<boolean[]> {
    const exist = await this.#connection.run(usersExistScript, emails.map(key.user), []);
    return exist.map((count) => count === 1);
  }

  async findUser(email: string): Promise<StoredUser | undefined> {
    const version = await this.#redis.get(key.user(email));
    return version === null ? undefined : { record: parseRecord(version), version };
  }

  /**
   * Stores a new account, and the outbox entry that has it subscribed, in one atomic step. Resolves to the entry's
   * id; to undefined, with nothing stored, when the email is taken.
   */
  async createUser(record: UserRecord, context: RequestContext): Promise<string | undefined> {
    const entryId = await this.#connection.run(
      createUserScript,
      [key.user(record.email), key.index, SUBSCRIBE_STREAM],
      [
        JSON.stringify(record),
        record.email,
        JSON.stringify({ email: record.email }),
        ...originFields(context),
      ],
    );
    return entryId || undefined;
  }

  /**
   * Replaces an account's record, under its new email if it has one, provided that it is still `version`; in the same step
   * all of its sessions end, where they are to.
   *
   * @returns the version that it has then
   */
  async replaceUser(
    email: string,
    version: string,
    next: UserRecord,
    endsSessions = false,
  ): Promise<{ outcome: 'replaced' | 'changed' | 'taken'; version: string }> {
    const nextVersion = JSON.stringify(next);
    const outcome = await this.#connection.run(
      replaceUserScript,
      [key.user(email), key.user(next.email), key.index, ...sessionKeys(email)],
      [version, nextVersion, email, next.email, Number(endsSessions), SESSION_PREFIX, this.tokenLifetimeMs],
    );
    return { outcome, version: nextVersion };
  }

  /** Deletes an account, and ends its sessions. Resolves to false when there was no such account. */
  async deleteUser(email: string): Promise<boolean> {
    const deleted = await this.#connection.run(
      deleteUserScript,
      [key.user(email), key.index, ...sessionKeys(email)],
      [email, SESSION_PREFIX, this.tokenLifetimeMs],
    );
    return deleted === 1;
  }

  /** Reads up to `count` accounts in the order of their emails, from the first after `after`. */
  async listUsers(
    count: number,
    after?: string,
  ): Promise<{ records: UserRecord[]; nextAfter: string | undefined }> {
    const emails = await this.#redis.zrange(
      key.index,
      after === undefined ? '-' : `(${after}`,
      '+',
      'BYLEX',
      'LIMIT',
      0,
      count + 1,
    );
    const page = emails.slice(0, count);
    const texts = page.length > 0 ? await this.#redis.mget(page.map(key.user)) : [];
    return {
      records: texts.filter((text) => text !== null).map(parseRecord),
      nextAfter: emails.length > count ? page.at(-1) : undefined,
    };
  }

  get #redis() {
    return this.#connection.client;
  }
}

function parseRecord(text: string): UserRecord {
  return userRecord.parse(JSON.parse(text));
}

const usersExistScript = defineScript(
  'usersExist',
  z.array(z.number()),
  `
  local exist = {}
  for index, user in ipairs(KEYS) do exist[index] = redis.call('EXISTS', user) end
  return exist
  `,
);

const createUserScript = defineScript(
  'createUser',
  z.string(),
  `
  ${enqueueLua}
  redis.call('ZCARD', KEYS[2])
  redis.call('XLEN', KEYS[3])
  if not redis.call('SET', KEYS[1], ARGV[1], 'NX') then return '' end
  redis.call('ZADD', KEYS[2], 0, ARGV[2])
  return enqueue(KEYS[3], unpack(ARGV, 3))
  `,
);

const replaceUserScript = defineScript(
  'replaceUser',
  z.enum(['replaced', 'changed', 'taken']),
  `
  ${endSessionsLua}
  local old, new, index, sessions, ended = unpack(KEYS)
  local version, record, old_email, new_email, ends_sessions, prefix, token_lifetime = unpack(ARGV)
  redis.call('ZCARD', index)
  if redis.call('GET', old) ~= version then return 'changed' end
  if old ~= new then
    if redis.call('EXISTS', new) == 1 then return 'taken' end
    redis.call('DEL', old)
    redis.call('ZREM', index, old_email)
    redis.call('ZADD', index, 0, new_email)
  end
  redis.call('SET', new, record)
  if ends_sessions == '1' then
    end_sessions(sessions, ended, redis.call('ZRANGE', sessions, 0, -1), prefix, token_lifetime)
  end
  return 'replaced'
  `,
);

const deleteUserScript = defineScript(
  'deleteUser',
  z.number(),
  `
  ${endSessionsLua}
  local user, index, sessions, ended = unpack(KEYS)
  local email, prefix, token_lifetime = unpack(ARGV)
  redis.call('ZREM', index, email)
  end_sessions(sessions, ended, redis.call('ZRANGE', sessions, 0, -1), prefix, token_lifetime)
  return redis.call('DEL', user)
  `,
);
