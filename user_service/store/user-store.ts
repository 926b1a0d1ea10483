import { Coalescer } from '@messaging/service_kit/coalescer';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua, originFields } from '@messaging/service_kit/redis/outbox';
import { defineScript, encodeForLua, requireTypesLua } from '@messaging/service_kit/redis/script';
import type { RequestContext } from '@messaging/service_kit/request';
import { z } from 'zod';
import { type Departure, departure } from '../domain/departure.js';
import { type Existence, type PendingSubscription, type UserRecord, userRecord } from '../domain/user.js';
import { key } from './keys.js';
import { endSessionsLua, SESSION_PREFIX, sessionKeys } from './session-store.js';

/** The database that holds the accounts. */
export const USER_DATABASE = 0;

/** The stream of new accounts that are still to be subscribed to notifications. */
export const SUBSCRIBE_STREAM = 'outbox:subscribe';

/** The stream of accounts that have left an address, and what they left there. */
export const DEPARTURE_STREAM = 'outbox:departures';

/** What a script has enqueued in an outbox. */
export interface Pending<Entry> {
  id: string;
  entry: Entry;
}

/** A record, and the text it was read from, which tells whether it has changed since. */
export interface StoredUser {
  record: UserRecord;
  version: string;
}

/** The accounts in Redis. */
export class UserStore {
  readonly #connection: RedisConnection;
  /** Looks up together what is asked at the same time. */
  readonly #lookUps: Coalescer<string, Existence>;

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
    return (await this.#lookUps.run(email)).exists;
  }

  /** Tells of each email whether an account has it, and which, in the same order. */
  async usersExist(emails: string[]): Promise<Existence[]> {
    const tenures = await this.#connection.run(usersExistScript, [], [encodeForLua(emails)]);
    return tenures.map((tenure) => ({ exists: tenure !== '', tenure: tenure || '0' }));
  }

  async findUser(email: string): Promise<StoredUser | undefined> {
    const version = await this.#redis.get(key.user(email));
    return version === null ? undefined : { record: parseRecord(version), version };
  }

  /**
   * Stores a new account, and the outbox entry that has it subscribed, in one atomic step. Resolves to the entry;
   * to undefined, with nothing stored, when the email is taken.
   */
  async createUser(
    record: UserRecord,
    context: RequestContext,
  ): Promise<Pending<PendingSubscription> | undefined> {
    const { email } = record;
    const [id, tenure] = await this.#connection.run(
      createUserScript,
      [key.user(email), key.index, SUBSCRIBE_STREAM, key.tenureCounter, key.tenures],
      [JSON.stringify(record), email, JSON.stringify({ email }), ...originFields(context)],
    );
    return id === '' ? undefined : { id, entry: { email, tenure } };
  }

  /**
   * Replaces an account's record, under its new email if it has one, provided that it is still `version`; in the same step
   * all of its sessions end, where they are to, and the departure from an address that it leaves is enqueued.
   *
   * @returns the version that it has then, and the departure
   */
  async replaceUser(
    email: string,
    version: string,
    next: UserRecord,
    { endsSessions = false, requestId }: { endsSessions?: boolean; requestId?: string | undefined } = {},
  ): Promise<{
    outcome: 'replaced' | 'changed' | 'taken';
    version: string;
    departure: Pending<Departure> | undefined;
  }> {
    const nextVersion = JSON.stringify(next);
    const [outcome, entryId, entry] = await this.#connection.run(
      replaceUserScript,
      [
        key.user(email),
        key.user(next.email),
        key.index,
        ...sessionKeys(email),
        key.tenureCounter,
        key.tenures,
        DEPARTURE_STREAM,
        key.departing(email),
        key.departing(next.email),
      ],
      [
        version,
        nextVersion,
        email,
        next.email,
        Number(endsSessions),
        SESSION_PREFIX,
        this.tokenLifetimeMs,
        JSON.stringify({ email, to_email: next.email }),
        ...originFields({ requestId }),
      ],
    );
    return { outcome, version: nextVersion, departure: toPending(entryId, entry) };
  }

  /** Deletes an account, ends its sessions, and enqueues its departure. Resolves to undefined when there was no such account. */
  async deleteUser(email: string, context: RequestContext): Promise<Pending<Departure> | undefined> {
    const [entryId, entry] = await this.#connection.run(
      deleteUserScript,
      [
        key.user(email),
        key.index,
        ...sessionKeys(email),
        key.tenureCounter,
        key.tenures,
        DEPARTURE_STREAM,
        key.departing(email),
      ],
      [email, SESSION_PREFIX, this.tokenLifetimeMs, JSON.stringify({ email }), ...originFields(context)],
    );
    return toPending(entryId, entry);
  }

  /** Lists the departures before this one that concern its addresses and are not done, in their order. */
  async findEarlierDepartures({ id, email, to_email }: Departure): Promise<Departure[]> {
    const earlier = await this.#connection.run(
      findEarlierDeparturesScript,
      [key.departing(email), key.departing(to_email ?? email)],
      [id],
    );
    const found = new Map(earlier.map(parseDeparture).map((other) => [other.id, other]));
    return [...found.values()].toSorted((one, other) => Number(one.id) - Number(other.id));
  }

  /** Lists the departures that concern an address and are not done. */
  async findDepartures(email: string): Promise<Departure[]> {
    return (await this.#redis.zrange(key.departing(email), '0', '-1')).map(parseDeparture);
  }

  /** Notes that a departure is done. */
  async finishDeparture({ id, email, to_email }: Departure): Promise<void> {
    await this.#connection.run(
      finishDepartureScript,
      [key.departing(email), key.departing(to_email ?? email)],
      [id],
    );
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

function parseDeparture(text: string): Departure {
  return departure.parse(JSON.parse(text));
}

function toPending(id: string, entry: string): Pending<Departure> | undefined {
  return id === '' ? undefined : { id, entry: parseDeparture(entry) };
}

/**
 * `depart(counter, tenures, email, outbox, departing, departure, ...)` ends the tenure of an address: it enqueues the departure,
 * and notes it at the addresses that it concerns. What follows are the fields of the request that it comes from.
 */
const departLua = `
  ${enqueueLua}
  local function depart(counter, tenures, email, outbox, departing, departure, ...)
    local id = string.format('%.0f', redis.call('INCR', counter))
    local tenure = redis.call('HGET', tenures, email) or '0'
    redis.call('HDEL', tenures, email)
    local entry = '{"id":"' .. id .. '","tenure":"' .. tenure .. '",' .. string.sub(departure, 2)
    for _, address in ipairs(departing) do redis.call('ZADD', address, id, entry) end
    return id, enqueue(outbox, entry, ...), entry
  end
`;

const usersExistScript = defineScript(
  'usersExist',
  z.array(z.string()),
  `
  local tenures = {}
  for index, email in ipairs(cjson.decode(ARGV[1])) do
    local exists = redis.call('EXISTS', '${key.user('')}' .. email) == 1
    tenures[index] = exists and (redis.call('HGET', '${key.tenures}', email) or '0') or ''
  end
  return tenures
  `,
  { acknowledges: false },
);

const createUserScript = defineScript(
  'createUser',
  z.tuple([z.string(), z.string()]),
  `
  ${enqueueLua}
  ${requireTypesLua}
  require_types({ 'string', 'zset', 'stream', 'string', 'hash' })
  local user, index, outbox, counter, tenures = unpack(KEYS)
  local record, email, subscription = unpack(ARGV)
  if redis.call('EXISTS', user) == 1 then return { '', '' } end
  local tenure = string.format('%.0f', redis.call('INCR', counter))
  redis.call('SET', user, record)
  redis.call('ZADD', index, 0, email)
  redis.call('HSET', tenures, email, tenure)
  local entry = string.sub(subscription, 1, -2) .. ',"tenure":"' .. tenure .. '"}'
  return { enqueue(outbox, entry, unpack(ARGV, 4)), tenure }
  `,
);

const replaceUserScript = defineScript(
  'replaceUser',
  z.tuple([z.enum(['replaced', 'changed', 'taken']), z.string(), z.string()]),
  `
  ${endSessionsLua}
  ${requireTypesLua}
  ${departLua}
  require_types({ 'string', 'string', 'zset', 'zset', 'stream', 'string', 'hash', 'stream', 'zset', 'zset' })
  local old, new, index, sessions, ended, counter, tenures, outbox, departing_old, departing_new = unpack(KEYS)
  local version, record, old_email, new_email, ends_sessions, prefix, token_lifetime, departure = unpack(ARGV)
  if redis.call('GET', old) ~= version then return { 'changed', '', '' } end
  local entry_id, entry = '', ''
  if old ~= new then
    if redis.call('EXISTS', new) == 1 then return { 'taken', '', '' } end
    local departing, id = { departing_old, departing_new }, nil
    id, entry_id, entry = depart(counter, tenures, old_email, outbox, departing, departure, unpack(ARGV, 9))
    redis.call('HSET', tenures, new_email, id)
    redis.call('DEL', old)
    redis.call('ZREM', index, old_email)
    redis.call('ZADD', index, 0, new_email)
  end
  redis.call('SET', new, record)
  if ends_sessions == '1' then
    end_sessions(sessions, ended, redis.call('ZRANGE', sessions, 0, -1), prefix, token_lifetime)
  end
  return { 'replaced', entry_id, entry }
  `,
);

const deleteUserScript = defineScript(
  'deleteUser',
  z.tuple([z.string(), z.string()]),
  `
  ${endSessionsLua}
  ${requireTypesLua}
  ${departLua}
  require_types({ 'string', 'zset', 'zset', 'stream', 'string', 'hash', 'stream', 'zset' })
  local user, index, sessions, ended, counter, tenures, outbox, departing = unpack(KEYS)
  local email, prefix, token_lifetime, departure = unpack(ARGV)
  local entry_id, entry, _ = '', ''
  if redis.call('DEL', user) == 1 then
    _, entry_id, entry = depart(counter, tenures, email, outbox, { departing }, departure, unpack(ARGV, 5))
  end
  redis.call('ZREM', index, email)
  end_sessions(sessions, ended, redis.call('ZRANGE', sessions, 0, -1), prefix, token_lifetime)
  return { entry_id, entry }
  `,
);

const findEarlierDeparturesScript = defineScript(
  'findEarlierDepartures',
  z.array(z.string()),
  `
  local earlier = redis.call('ZRANGE', KEYS[1], '-inf', '(' .. ARGV[1], 'BYSCORE')
  for _, entry in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', '(' .. ARGV[1], 'BYSCORE')) do
    earlier[#earlier + 1] = entry
  end
  return earlier
  `,
  { acknowledges: false },
);

const finishDepartureScript = defineScript(
  'finishDeparture',
  z.number(),
  `
  redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1])
  return redis.call('ZREMRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[1])
  `,
);
