import { createHash } from 'node:crypto';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua, originText } from '@messaging/service_kit/redis/outbox';
import { defineBatchScript, defineScript, requireTypesLua } from '@messaging/service_kit/redis/script';
import type { RequestContext } from '@messaging/service_kit/request';
import { z } from 'zod';
import {
  type Conversation,
  type MessageList,
  type MessageRecord,
  messageRecord,
  type NewMessage,
} from '../domain/message.js';
import { key } from './keys.js';
import { tenureLua } from './tenure.js';

/** The database that holds the messages. */
export const MESSAGE_DATABASE = 1;

/** The stream of stored messages whose receivers are still to be notified. */
export const NOTIFY_STREAM = 'outbox:notify';

/** How long a repeated request is known again. */
const REQUEST_TTL_SECONDS = 24 * 60 * 60;

/** How many messages one command looks at that it passes over, so that Redis is never held up for long. */
const MAX_LOOKED_AT = 10_000;

/** A part of a list of messages: `count` of them at the most, after the one with the id `after`. */
export interface Slice {
  after: string | undefined;
  count: number;
  /** How long they may be together, as JSON. */
  maxBytes: number;
}

/** What was read of it. */
export interface SliceRead {
  messages: MessageRecord[];
  bytes: number;
  /** Whether the list ended there, or what kept more from being read. */
  stoppedBy: 'end' | 'count' | 'bytes';
  /** Where the next slice starts; undefined at the end of the list. */
  nextAfter: string | undefined;
}

/** What storing a message came to. */
export type AddOutcome =
  | { result: 'stored'; messageId: string; entryId: string }
  | { result: 'repeated'; messageId: string }
  /** The request's id has been used for another message. */
  | { result: 'mismatch' }
  /** The account has left the address since it was looked up. */
  | { result: 'unknownSender' }
  | { result: 'unknownReceiver' };

/** Whose the addresses of a message are, as UserService tells it; empty where it does not. */
export interface Tenures {
  sender: string;
  receiver: string;
}

/** The messages in Redis. */
export class MessageStore {
  readonly #connection: RedisConnection;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  /**
   * Stores a message, everything that finds it again, and the outbox entry that has its receiver notified, in one
   * atomic step. A request that was stored before is known again, and nothing is stored.
   */
  async addMessage(
    message: NewMessage,
    tenures: Tenures,
    storedAt: Date,
    context: RequestContext,
  ): Promise<AddOutcome> {
    const { senderEmail, receiverEmail, content, requestId } = message;
    const timestamp = storedAt.toISOString();
    const [result, messageId, entryId] = await this.#connection.handle(addMessageScript, {
      sender: senderEmail,
      receiver: receiverEmail,
      sender_tenure: tenures.sender,
      receiver_tenure: tenures.receiver,
      timestamp,
      record: afterId({ sender_email: senderEmail, receiver_email: receiverEmail, content, timestamp }),
      entry: afterId({
        sender_email: senderEmail,
        receiver_email: receiverEmail,
        receiver_tenure: tenures.receiver || undefined,
      }),
      origin: originText(context),
      request_id: requestId ?? '',
      fingerprint: requestId === undefined ? '' : fingerprint(message),
    });
    return result === 'stored' || result === 'repeated' ? { result, messageId, entryId } : { result };
  }

  /** Finds what came of an earlier request with this id. */
  async findRequest(message: NewMessage): Promise<AddOutcome | undefined> {
    if (message.requestId === undefined) return undefined;
    const { senderEmail, requestId } = message;
    const found = await this.#connection.run(
      findRequestScript,
      [key.request(senderEmail, requestId), key.occupant(senderEmail)],
      [senderEmail],
    );
    if (found.length === 0) return undefined;
    const [earlier, messageId] = found;
    return earlier === fingerprint(message) ? { result: 'repeated', messageId } : { result: 'mismatch' };
  }

  /** Reads a slice of a list of messages. */
  async readMessages(
    { userEmail, withEmail, newestFirst }: MessageList,
    { after, count, maxBytes }: Slice,
  ): Promise<SliceRead> {
    const mailbox = key.mailbox(userEmail);
    const [start, end] = newestFirst ? ['+inf', '-inf'] : ['-inf', '+inf'];
    const [texts, bytes, stoppedBy, lastId] = await this.#connection.run(
      readMessagesScript,
      withEmail ? [key.thread(userEmail, withEmail), mailbox] : [mailbox],
      [
        key.message(''),
        after === undefined ? start : `(${after}`,
        end,
        newestFirst ? 'REV' : '',
        count,
        maxBytes,
      ],
    );
    return {
      messages: texts.map((text) => messageRecord.parse(JSON.parse(text))),
      bytes,
      stoppedBy,
      // Where not even one more fitted, the next slice starts where this one did.
      nextAfter: stoppedBy === 'end' ? undefined : lastId || after,
    };
  }

  /**
   * Reads up to `count` of a user's conversations, the most recent first, from the first whose last message is older
   * than the one with the id `before`. `nextBefore` is where the next page starts; undefined at the end of the list.
   */
  async readConversations(
    email: string,
    count: number,
    before?: string,
  ): Promise<{ conversations: Conversation[]; nextBefore: string | undefined }> {
    const from = before === undefined ? '+inf' : `(${before}`;
    const found = await this.#redis.zrange(
      key.recency(email),
      from,
      '-inf',
      'BYSCORE',
      'REV',
      'LIMIT',
      0,
      count + 1,
      'WITHSCORES',
    );
    const recent = Array.from({ length: found.length / 2 }, (_, index) => ({
      other: found[2 * index] ?? '',
      lastId: found[2 * index + 1] ?? '',
    }));
    const page = recent.slice(0, count);
    const read = await this.#connection.run(
      readConversationsScript,
      [
        key.seen(email),
        ...page.flatMap(({ other, lastId }) => [key.message(lastId), key.direction(other, email)]),
      ],
      page.map(({ other }) => other),
    );
    const conversations = page.map(({ other }, index) => {
      const [text = '', unread = 0] = read[index] ?? [];
      return {
        email: other,
        lastMessage: text === '' ? undefined : messageRecord.parse(JSON.parse(text)),
        // Whoever wrote something has seen it.
        unread: other === email ? 0 : unread,
      };
    });
    return { conversations, nextBefore: recent.length > count ? page.at(-1)?.lastId : undefined };
  }

  /** Notes that a user has seen every message that came from another so far. */
  async markConversationRead(email: string, other: string): Promise<void> {
    await this.#connection.run(
      markConversationReadScript,
      [key.direction(other, email), key.seen(email), key.lastSeen(email)],
      [other],
    );
  }

  /** Finds a message that a user sent or received, and has not deleted. */
  async findMessage(email: string, id: string): Promise<MessageRecord | undefined> {
    const [text] = await this.#connection.run(findMessageScript, [key.message(id), key.mailbox(email)], [id]);
    return text === undefined ? undefined : messageRecord.parse(JSON.parse(text));
  }

  /** Lists the oldest messages that a user sent or received, and has not deleted, `count` of them at the most. */
  async readOldest(email: string, count: number): Promise<MessageRecord[]> {
    const list = { userEmail: email, withEmail: undefined, newestFirst: false };
    return (await this.readMessages(list, { after: undefined, count, maxBytes: Number.MAX_SAFE_INTEGER }))
      .messages;
  }

  /**
   * Deletes a message for those parties to it that are named, in one atomic step. Nothing of it is kept once neither has
   * it. What the receiver has not seen of it is no longer counted as unread.
   *
   * @returns whether one of them still had it.
   */
  async deleteMessage(
    { id, sender_email, receiver_email }: MessageRecord,
    forEmails: string[],
  ): Promise<boolean> {
    const deleted = await this.#connection.run(
      deleteMessageScript,
      [
        key.message(String(id)),
        key.direction(sender_email, receiver_email),
        key.thread(sender_email, receiver_email),
        key.seen(receiver_email),
        key.lastSeen(receiver_email),
        key.mailbox(sender_email),
        key.recency(sender_email),
        key.partners(sender_email),
        key.mailbox(receiver_email),
        key.recency(receiver_email),
        key.partners(receiver_email),
      ],
      [id, sender_email, receiver_email, ...forEmails],
    );
    return deleted === 1;
  }

  /** Lists whom a user has exchanged messages with, the most recent first. */
  async listConversations(email: string): Promise<string[]> {
    return this.#redis.zrevrange(key.recency(email), 0, -1);
  }

  get #redis() {
    return this.#connection.client;
  }
}

/** The JSON of what has its id before it: that is only known once it is stored. */
function afterId(rest: Record<string, string | undefined>): string {
  return `,${JSON.stringify(rest).slice(1)}`;
}

/** Tells messages of one sender apart. */
function fingerprint({ receiverEmail, content }: NewMessage): string {
  return createHash('sha256')
    .update(JSON.stringify([receiverEmail, content]))
    .digest('base64url');
}

const addReply = z.tuple([
  z.enum(['stored', 'repeated', 'mismatch', 'unknownSender', 'unknownReceiver']),
  z.string(),
  z.string(),
]);

/**
 * `record` and `entry` are the JSON of the message and of its outbox entry, after their ids. What belongs to a request that has
 * an id is empty where it has none.
 */
const addMessageScript = defineBatchScript(
  'addMessage',
  [
    'sender',
    'receiver',
    'sender_tenure',
    'receiver_tenure',
    'timestamp',
    'record',
    'entry',
    'origin',
    'request_id',
    'fingerprint',
  ],
  addReply,
  `
  ${enqueueLua}
  ${requireTypesLua}
  ${tenureLua(MAX_LOOKED_AT)}
  local counter, outbox = '${key.counter}', '${NOTIFY_STREAM}'

  -- What is stored at the end of the run, and by direction what the messages that go there share.
  local messages, directions = {}, {}

  -- Should the counter ever be lost, ids that are taken are passed over.
  local function store_records()
    repeat
      local last, records = redis.call('INCRBY', counter, #messages), {}
      for index, message in ipairs(messages) do
        message.id = plain(last - #messages + index)
        records[2 * index - 1] = message_key(message.id)
        records[2 * index] = '{"id":' .. message.id .. message.record
      end
    until redis.call('MSETNX', unpack(records)) == 1
  end
  local function store_direction(direction, last)
    local ids, sends, receives = direction.ids, direction.sends, direction.receives
    redis.call(
      'HSET', direction.name,
      'last_message_id', last.id,
      'last_timestamp', last.timestamp,
      'message_count', direction.count + #ids / 2
    )
    redis.call('SADD', sends.partners, last.receiver)
    redis.call('SADD', receives.partners, last.sender)
    redis.call('ZADD', sends.recency, last.id, last.receiver)
    redis.call('ZADD', receives.recency, last.id, last.sender)
    redis.call('ZADD', sends.mailbox, unpack(ids))
    redis.call('ZADD', receives.mailbox, unpack(ids))
    redis.call('ZADD', direction.thread, unpack(ids))
  end
  local function store()
    if #messages == 0 then return end
    store_records()
    for _, message in ipairs(messages) do
      local direction, id = message.direction, message.id
      local ids = direction.ids
      ids[#ids + 1], ids[#ids + 2] = id, id
      -- In the order of their last messages: two directions share what is most recent.
      if message == direction.last then store_direction(direction, message) end
      message.outcome[2] = id
      message.outcome[3] = enqueue(outbox, '{"message_id":"' .. id .. '"' .. message.entry, fields_of(message.origin))
    end
    messages, directions = {}, {}
  end

  -- Nothing is new where both have written to each other since they have had their addresses.
  local function is_known(email, tenure, last)
    local occupant, since = occupant_of(email)
    return (occupant or 0) == (tonumber(tenure) or -1) and last > since
  end
  local function look_at_direction(name, message)
    local sender, receiver = message.sender, message.receiver
    local sends, receives, thread = live_keys(sender), live_keys(receiver), thread_of(sender, receiver)
    for _, keys in ipairs({ sends, receives }) do
      require_type(keys.partners, 'set')
      require_type(keys.recency, 'zset')
      require_type(keys.mailbox, 'zset')
    end
    require_type(thread, 'zset')
    local so_far = redis.call('HMGET', name, 'message_count', 'last_message_id')
    local count, last = tonumber(so_far[1] or 0), tonumber(so_far[2] or 0) or 0
    if not count then error({ err = 'ERR message_count of ' .. name .. ' is not a number' }) end
    return {
      name = name,
      sends = sends,
      receives = receives,
      thread = thread,
      sender_tenure = message.sender_tenure,
      receiver_tenure = message.receiver_tenure,
      count = count,
      are_known = is_known(sender, message.sender_tenure, last) and is_known(receiver, message.receiver_tenure, last),
      ids = {},
    }
  end
  local function find_repeat(message)
    local earlier, asks = read_request(request_key(message.sender, message.request_id)), tonumber(message.sender_tenure)
    if not earlier.id or (asks and earlier.tenure and asks ~= earlier.tenure) then return nil end
    return { earlier.fingerprint == message.fingerprint and 'repeated' or 'mismatch', earlier.id, '' }
  end
  local function remember(message)
    local requests = live_keys(message.sender).requests
    for _, oldest in ipairs(redis.call('ZRANGE', requests, 0, 1)) do
      if redis.call('EXISTS', request_key(message.sender, oldest)) == 0 then redis.call('ZREM', requests, oldest) end
    end
    local came = message.fingerprint .. ':' .. message.id .. ':' .. message.sender_tenure
    redis.call('SET', request_key(message.sender, message.request_id), came, 'EX', ${REQUEST_TTL_SECONDS})
    redis.call('ZADD', requests, message.id, message.request_id)
    redis.call('EXPIRE', requests, ${REQUEST_TTL_SECONDS})
  end
  local function settle_both(message, direction)
    local sender, receiver, last_id = message.sender, message.receiver, redis.call('GET', counter) or '0'
    settle(sender, message.sender_tenure, last_id)
    settle(receiver, message.receiver_tenure, last_id)
    count_from_now(receiver, direction.receives, sender)
    count_from_now(sender, direction.sends, receiver)
  end

  local function handle(message)
    local name, has_id = direction_of(message.sender, message.receiver), message.request_id ~= ''
    require_type(outbox, 'stream')
    require_count(counter)
    local direction = directions[name]
    if direction and (
      has_id or direction.sender_tenure ~= message.sender_tenure or direction.receiver_tenure ~= message.receiver_tenure
    ) then
      store()
      direction = nil
    end
    direction = direction or look_at_direction(name, message)
    if has_id then require_type(direction.sends.requests, 'zset') end
    local is_plain = direction.are_known and not has_id
    if not is_plain then
      -- What comes first may be meant for those who had the addresses before.
      store()
      if is_over(message.sender, message.sender_tenure) then return { 'unknownSender', '', '' } end
      if is_over(message.receiver, message.receiver_tenure) then return { 'unknownReceiver', '', '' } end
      local earlier = has_id and find_repeat(message)
      if earlier then return earlier end
      settle_both(message, direction)
    end

    message.direction, message.outcome = direction, { 'stored', '', '' }
    messages[#messages + 1] = message
    direction.last = message
    directions[name] = direction
    -- Whoever comes next is looked at anew.
    if not is_plain then store() end
    if has_id then remember(message) end
    return message.outcome
  end
  local finish = store
  `,
);

/** What whoever had the address before asked for is nobody's repeat. */
const findRequestScript = defineScript(
  'findRequest',
  z.union([z.tuple([]), z.tuple([z.string(), z.string()])]),
  `
  ${tenureLua(MAX_LOOKED_AT)}
  local found, occupant = read_request(KEYS[1]), occupant_of(ARGV[1])
  if not found.id or (occupant and found.tenure and found.tenure < occupant) then return {} end
  return { found.fingerprint, found.id }
  `,
);

const readMessagesScript = defineScript(
  'readMessages',
  z.tuple([z.array(z.string()), z.number(), z.enum(['end', 'count', 'bytes']), z.string()]),
  `
  local prefix, start, stop, order, count, max_bytes = unpack(ARGV)
  count, max_bytes = tonumber(count), tonumber(max_bytes)
  local function read(from)
    local range = { 'ZRANGE', KEYS[1], from, stop, 'BYSCORE' }
    if order ~= '' then range[#range + 1] = order end
    for _, argument in ipairs({ 'LIMIT', 0, count + 1 }) do range[#range + 1] = argument end
    return redis.call(unpack(range))
  end

  local texts, bytes, last_id, seen = {}, 0, '', 0
  local ids = read(start)
  while true do
    for _, id in ipairs(ids) do
      if #texts == count then return { texts, bytes, 'count', last_id } end
      -- A thread is both parties': what the user has deleted is only missing from the mailbox.
      local is_kept = not KEYS[2] or redis.call('ZSCORE', KEYS[2], id)
      local text = is_kept and redis.call('GET', prefix .. id)
      if text then
        if bytes + #text > max_bytes then return { texts, bytes, 'bytes', last_id } end
        texts[#texts + 1] = text
        bytes = bytes + #text
      end
      last_id = id
    end
    if #ids <= count then return { texts, bytes, 'end', last_id } end
    seen = seen + #ids
    if seen >= ${MAX_LOOKED_AT} then return { texts, bytes, 'count', last_id } end
    ids = read('(' .. last_id)
  end
  `,
  { acknowledges: false },
);

const readConversationsScript = defineScript(
  'readConversations',
  z.array(z.tuple([z.string(), z.number()])),
  `
  local conversations = {}
  for index, other in ipairs(ARGV) do
    local received = tonumber(redis.call('HGET', KEYS[2 * index + 1], 'message_count') or 0) or 0
    local seen = tonumber(redis.call('HGET', KEYS[1], other) or 0) or 0
    conversations[index] = { redis.call('GET', KEYS[2 * index]) or '', math.max(received - seen, 0) }
  end
  return conversations
  `,
  { acknowledges: false },
);

const markConversationReadScript = defineScript(
  'markConversationRead',
  z.number(),
  `
  local received, last_id = unpack(redis.call('HMGET', KEYS[1], 'message_count', 'last_message_id'))
  if last_id then redis.call('HSET', KEYS[3], ARGV[1], last_id) end
  return received and redis.call('HSET', KEYS[2], ARGV[1], received) or 0
  `,
);

const findMessageScript = defineScript(
  'findMessage',
  z.array(z.string()),
  `
  return { redis.call('ZSCORE', KEYS[2], ARGV[1]) and redis.call('GET', KEYS[1]) or nil }
  `,
  { acknowledges: false },
);

const deleteMessageScript = defineScript(
  'deleteMessage',
  z.number(),
  `
  ${requireTypesLua}
  ${tenureLua(MAX_LOOKED_AT)}
  require_types({ 'string', 'hash', 'zset', 'hash', 'hash', 'zset', 'zset', 'set', 'zset', 'zset', 'set' })
  local message, direction, thread = unpack(KEYS)
  local id, sender, receiver = unpack(ARGV)
  local others = { [sender] = receiver, [receiver] = sender }
  local parties = { [sender] = keys_of(sender, id), [receiver] = keys_of(receiver, id) }
  local function has_it(email) return redis.call('ZSCORE', parties[email].mailbox, id) end

  local receives = parties[receiver]
  local received = tonumber(redis.call('HGET', direction, 'message_count')) or 0
  local seen = tonumber(redis.call('HGET', receives.seen, sender) or 0)
  local last_seen = tonumber(redis.call('HGET', receives.last_seen, sender) or 0)
  local is_unread = has_it(receiver) and tonumber(id) > last_seen and received > seen

  local deleted = 0
  for index = 4, #ARGV do
    local email = ARGV[index]
    local keys, other = parties[email], others[email]
    deleted = math.max(deleted, redis.call('ZREM', keys.mailbox, id))
    if redis.call('ZSCORE', keys.recency, other) == id then
      local last = find_older(thread, id, function(older) return redis.call('ZSCORE', keys.mailbox, older) end)
      if last then
        redis.call('ZADD', keys.recency, last, other)
      else
        redis.call('ZREM', keys.recency, other)
        redis.call('SREM', keys.partners, other)
        -- The other may keep the conversation: so it is found should this user leave.
        redis.call('HSETNX', keys.seen, other, 0)
      end
    end
  end
  if deleted == 0 then return 0 end

  if has_it(sender) or has_it(receiver) then
    if is_unread and not has_it(receiver) then redis.call('HSET', receives.seen, sender, plain(seen + 1)) end
    return 1
  end
  discard(id, sender, receiver, is_unread)
  forget_if_empty(sender)
  forget_if_empty(receiver)
  return 1
  `,
);
