import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { defineScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';
import type { Departure, Move } from '../domain/departure.js';
import { messageRecord } from '../domain/message.js';
import { key } from './keys.js';
import { tenureLua } from './tenure.js';

/** How much one step works on, so that Redis is never held up for long. */
const STEP = { messages: 100, bytes: 500_000, entries: 500 };

/** Other keys than those of today are kept. */
const storedMessage = messageRecord.loose();

/** A message as it was found: a step passes over one that has changed since. */
export interface FoundMessage {
  id: string;
  /** Empty where there is none. */
  text: string;
  /** Tells whether it has changed since; empty where there is none. */
  fingerprint: string;
  /** Undefined where the text can't be read. */
  record: z.output<typeof storedMessage> | undefined;
}

/** Some of the messages between a user and another, the oldest first. */
export interface FoundThread {
  other: string;
  messages: FoundMessage[];
}

/** What users leave in Redis. */
export class DepartureStore {
  constructor(private readonly connection: RedisConnection) {}

  /**
   * Takes what a tenure of an address has left out of the way of whoever has the address next. From now on, nothing more is
   * stored for it.
   *
   * @returns the tenures, up to this one, that have left something
   */
  async leave({ email, tenure, departure_id }: Departure): Promise<string[]> {
    return this.connection.run(leaveScript, [key.counter], [email, tenure, departure_id]);
  }

  /** Reads some of the messages that a user has left with one of the others; undefined where there is none. */
  async readThread({ email, tenure }: Departure): Promise<FoundThread | undefined> {
    const [other, found] = await this.connection.run(
      readLeftThreadScript,
      [],
      [email, tenure, STEP.messages, STEP.bytes],
    );
    return other === '' ? undefined : { other, messages: found.map(toFound) };
  }

  /** Moves messages to the user's new address, for both parties. What has changed since it was read is left for the next step. */
  async moveMessages({ email, tenure, departure_id, to_email }: Move, thread: FoundThread): Promise<void> {
    const { other, messages } = thread;
    const moved = messages.map(({ id, fingerprint, record }) => {
      if (!record) return [id, fingerprint, '', '', ''];
      const rename = (party: string) => (party === email ? to_email : party);
      const next = {
        ...record,
        sender_email: rename(record.sender_email),
        receiver_email: rename(record.receiver_email),
      };
      const sender = record.sender_email === email ? 'user' : 'other';
      return [id, fingerprint, sender, JSON.stringify(next), record.timestamp];
    });
    await this.connection.run(
      moveMessagesScript,
      [key.counter],
      [email, to_email, other, tenure, departure_id, ...moved.flat()],
    );
  }

  /** Moves what is in no thread. @returns how much there was */
  async moveRest({ email, tenure, departure_id, to_email }: Move): Promise<number> {
    return this.connection.run(
      moveRestScript,
      [key.counter],
      [email, to_email, tenure, departure_id, STEP.entries],
    );
  }

  /** Reads some of the messages in the mailbox that a user has left, the oldest first. */
  async readMailbox(email: string, tenure: string): Promise<FoundMessage[]> {
    const found = await this.connection.run(
      readLeftMailboxScript,
      [],
      [email, tenure, STEP.messages, STEP.bytes],
    );
    return found.map(toFound);
  }

  /** Takes messages out of the mailbox that a user has left, and deletes those that nobody else has. */
  async eraseMessages(email: string, tenure: string, messages: FoundMessage[]): Promise<void> {
    const erased = messages.map(({ id, fingerprint, record }) => [
      id,
      fingerprint,
      record?.sender_email ?? '',
      record?.receiver_email ?? '',
    ]);
    await this.connection.run(eraseMessagesScript, [], [email, tenure, ...erased.flat()]);
  }

  /** Deletes some of what is kept of a user's requests. @returns how much there was */
  async eraseRequests(email: string, tenure: string): Promise<number> {
    return this.connection.run(eraseRequestsScript, [], [email, tenure, STEP.entries]);
  }

  /** Deletes whatever is still kept of a tenure. */
  async forget(email: string, tenure: string): Promise<void> {
    await this.connection.run(forgetScript, [], [email, tenure]);
  }
}

function toFound([id, text, fingerprint]: [string, string, string]): FoundMessage {
  return { id, text, fingerprint, record: storedText.safeParse(text).data };
}

const storedText = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue('is not JSON');
      return z.NEVER;
    }
  })
  .pipe(storedMessage);

const lua = tenureLua(1_000);

/** `read(ids, max_bytes)` reads messages, at least one, until they are so long together. */
const readLua = `
  local function fingerprint_of(text) return text and redis.sha1hex(text) or '' end
  local function read(ids, max_bytes)
    local found, bytes = {}, 0
    for index, id in ipairs(ids) do
      local text = redis.call('GET', message_key(id))
      bytes = bytes + #(text or '')
      if index > 1 and bytes > tonumber(max_bytes) then break end
      found[index] = { id, text or '', fingerprint_of(text) }
    end
    return found
  end
  local function is_unchanged(id, fingerprint)
    return fingerprint_of(redis.call('GET', message_key(id))) == fingerprint
  end
`;
const foundMessages = z.array(z.tuple([z.string(), z.string(), z.string()]));

const leaveScript = defineScript(
  'leave',
  z.array(z.string()),
  `
  ${lua}
  local email, tenure, departure = unpack(ARGV)
  redis.call('HLEN', departed_key(email))
  leave(email, tenure, departure, redis.call('GET', KEYS[1]) or '0')
  local ended = {}
  for _, left in ipairs(redis.call('HKEYS', departed_key(email))) do
    if tonumber(left) <= tonumber(tenure) then ended[#ended + 1] = left end
  end
  return ended
  `,
);

const readLeftThreadScript = defineScript(
  'readLeftThread',
  z.tuple([z.string(), foundMessages]),
  `
  ${lua}
  ${readLua}
  local email, tenure, count, max_bytes = unpack(ARGV)
  local keys, last_id = left_keys(email, tenure), redis.call('HGET', departed_key(email), tenure)
  -- Of conversations that the user has deleted, the others may have something: they have left a count.
  local other = redis.call('ZRANGE', keys.recency, 0, 0)[1] or redis.call('HRANDFIELD', keys.seen)
  if not other or not last_id then return { '', {} } end
  local ids = redis.call('ZRANGE', thread_of(email, other), '-inf', last_id, 'BYSCORE', 'LIMIT', 0, count)
  return { other, read(ids, max_bytes) }
  `,
  { acknowledges: false },
);

const moveMessagesScript = defineScript(
  'moveMessages',
  z.number(),
  `
  ${lua}
  ${readLua}
  local email, to, other, tenure, departure = unpack(ARGV)
  local last_id = redis.call('HGET', departed_key(email), tenure)
  if not last_id then return 0 end
  local is_own = other == email or other == to
  local to_other = is_own and to or other
  local source, target = left_keys(email, tenure), destination(to, departure, redis.call('GET', KEYS[1]) or '0')
  local newcomer = live_keys(email)
  local thread, to_thread = thread_of(email, other), thread_of(to, to_other)
  if #ARGV > 5 then count_from_now(to, target, to_other, true) end

  local function take_from(direction)
    local count = tonumber(redis.call('HGET', direction, 'message_count') or 0) or 0
    if count > 1 then redis.call('HSET', direction, 'message_count', plain(count - 1)) else redis.call('DEL', direction) end
  end
  local function add_to(direction, id, timestamp)
    local known = redis.call('HMGET', direction, 'message_count', 'last_message_id')
    redis.call('HSET', direction, 'message_count', plain((tonumber(known[1] or 0) or 0) + 1))
    if tonumber(id) > (tonumber(known[2] or 0) or 0) then
      redis.call('HSET', direction, 'last_message_id', id, 'last_timestamp', timestamp)
    end
  end
  local function last_seen(keys, from) return tonumber(redis.call('HGET', keys.last_seen, from) or 0) or 0 end
  -- A message that the receiver has seen, or deleted, counts as seen under the new address, too.
  local function count_as_seen(id, has_it, from_keys, from, to_keys, to_from)
    local is_seen = not has_it
      or tonumber(id) <= last_seen(from_keys, from)
      or tonumber(id) <= last_seen(to_keys, to_from)
    if not is_seen then return end
    redis.call('HINCRBY', to_keys.seen, to_from, 1)
    if has_it and tonumber(id) > last_seen(to_keys, to_from) then redis.call('HSET', to_keys.last_seen, to_from, id) end
    return true
  end
  local function put(keys, id, partner)
    redis.call('ZADD', keys.recency, 'GT', id, partner)
    redis.call('SADD', keys.partners, partner)
  end

  for index = 6, #ARGV, 5 do
    local id, fingerprint, sender, record, timestamp = unpack(ARGV, index, index + 4)
    if is_unchanged(id, fingerprint) then
      redis.call('ZREM', thread, id)
      local has_it = redis.call('ZREM', source.mailbox, id) == 1
      if fingerprint ~= '' then
        redis.call('ZADD', to_thread, id, id)
        if has_it then
          redis.call('ZADD', target.mailbox, id, id)
          put(target, id, to_other)
        end
        local keys = not is_own and keys_of(other, id)
        local other_has_it = keys and redis.call('ZSCORE', keys.mailbox, id)
        if other_has_it then put(keys, id, to) end
        if record ~= '' then
          redis.call('SET', message_key(id), record)
          if sender == 'user' then
            if keys then count_from_now(other, keys, to, true) end
            take_from(direction_of(email, other))
            add_to(direction_of(to, to_other), id, timestamp)
            if keys and count_as_seen(id, other_has_it, keys, email, keys, to) then less(keys.seen, email) end
          else
            take_from(direction_of(other, email))
            add_to(direction_of(to_other, to), id, timestamp)
            if keys then
              count_as_seen(id, has_it, source, other, target, other)
              less(newcomer.seen, other)
            end
          end
        end
      end
    end
  end

  if #redis.call('ZRANGE', thread, '-inf', last_id, 'BYSCORE', 'LIMIT', 0, 1) > 0 then return 0 end
  redis.call('ZREM', source.recency, other)
  redis.call('SREM', source.partners, other)
  redis.call('HDEL', source.seen, other)
  redis.call('HDEL', source.last_seen, other)
  -- What is left of the conversation is between the other and whoever has the address now.
  for _, direction in ipairs({ direction_of(email, other), direction_of(other, email) }) do
    local last = redis.call('HGET', direction, 'last_message_id')
    if not last or tonumber(last) <= tonumber(last_id) then redis.call('DEL', direction) end
  end
  if is_own then return 1 end
  local of_other = { live_keys(other) }
  for _, left in ipairs(redis.call('HKEYS', departed_key(other))) do of_other[#of_other + 1] = left_keys(other, left) end
  for _, keys in ipairs(of_other) do
    local last = redis.call('ZSCORE', keys.recency, email)
    if last and tonumber(last) <= tonumber(last_id) then
      redis.call('ZREM', keys.recency, email)
      redis.call('SREM', keys.partners, email)
    end
    if redis.call('EXISTS', direction_of(email, other)) == 0 then
      redis.call('HDEL', keys.seen, email)
      redis.call('HDEL', keys.last_seen, email)
    end
  end
  return 1
  `,
);

const moveRestScript = defineScript(
  'moveRest',
  z.number(),
  `
  ${lua}
  local email, to, tenure, departure, count = unpack(ARGV)
  if redis.call('HEXISTS', departed_key(email), tenure) == 0 then return 0 end
  local source, target = left_keys(email, tenure), destination(to, departure, redis.call('GET', KEYS[1]) or '0')
  local ids = redis.call('ZRANGE', source.mailbox, 0, count - 1)
  for _, id in ipairs(ids) do
    redis.call('ZADD', target.mailbox, id, id)
    redis.call('ZREM', source.mailbox, id)
  end
  local requests = redis.call('ZRANGE', source.requests, 0, count - 1, 'WITHSCORES')
  for index = 1, #requests, 2 do
    local request, id = requests[index], requests[index + 1]
    local from, known = request_key(email, request), read_request(request_key(email, request))
    if known.id == id then
      local ttl = redis.call('TTL', from)
      local text = known.fingerprint .. ':' .. id .. ':' .. departure
      if redis.call('SET', request_key(to, request), text, 'NX', 'EX', math.max(ttl, 1)) then
        redis.call('ZADD', target.requests, id, request)
        if redis.call('TTL', target.requests) < ttl then redis.call('EXPIRE', target.requests, ttl) end
      end
      redis.call('DEL', from)
    end
    redis.call('ZREM', source.requests, request)
  end
  return #ids + #requests
  `,
);

const readLeftMailboxScript = defineScript(
  'readLeftMailbox',
  foundMessages,
  `
  ${lua}
  ${readLua}
  local email, tenure, count, max_bytes = unpack(ARGV)
  return read(redis.call('ZRANGE', left_keys(email, tenure).mailbox, 0, count - 1), max_bytes)
  `,
  { acknowledges: false },
);

const eraseMessagesScript = defineScript(
  'eraseMessages',
  z.number(),
  `
  ${lua}
  ${readLua}
  local email, tenure = unpack(ARGV)
  local keys = left_keys(email, tenure)
  for index = 3, #ARGV, 4 do
    local id, fingerprint, sender, receiver = unpack(ARGV, index, index + 3)
    -- Another process may have done so meanwhile.
    if is_unchanged(id, fingerprint) and redis.call('ZREM', keys.mailbox, id) == 1 and sender ~= '' then
      local other = sender == email and receiver or sender
      local is_kept = other ~= email and redis.call('ZSCORE', keys_of(other, id).mailbox, id)
      if not is_kept then
        discard(id, sender, receiver, false)
        -- What was counted for whoever has the address now.
        if receiver == email then less(live_keys(email).seen, sender) end
        forget_if_empty(other)
      end
    end
  end
  return 0
  `,
);

const eraseRequestsScript = defineScript(
  'eraseRequests',
  z.number(),
  `
  ${lua}
  local email, tenure, count = unpack(ARGV)
  local keys = left_keys(email, tenure)
  local requests = redis.call('ZRANGE', keys.requests, 0, count - 1, 'WITHSCORES')
  for index = 1, #requests, 2 do
    local request = request_key(email, requests[index])
    if read_request(request).id == requests[index + 1] then redis.call('DEL', request) end
    redis.call('ZREM', keys.requests, requests[index])
  end
  return #requests
  `,
);

const forgetScript = defineScript(
  'forget',
  z.number(),
  `
  ${lua}
  local email, tenure = unpack(ARGV)
  for part in pairs(live_keys(email)) do redis.call('UNLINK', left_keys(email, tenure)[part]) end
  return redis.call('HDEL', departed_key(email), tenure)
  `,
);
