import { createHash } from 'node:crypto';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua } from '@messaging/service_kit/redis/outbox';
import { defineScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';
import {
  type Conversation,
  type MessageList,
  type MessageRecord,
  messageRecord,
  type NewMessage,
} from '../domain/message.js';

/** The database that holds the messages. */
export const MESSAGE_DATABASE = 1;

const key = {
  /** A message's JSON. */
  message: (id: string) => `message:${id}`,
  /** The last message's id. */
  counter: 'message_id_counter',
  /** Hash about the messages that went in one direction. */
  direction: (sender: string, receiver: string) => `conversation:${sender}:${receiver}`,
  /** Set of whom a user has exchanged messages with. */
  partners: (email: string) => `user:${email}:conversations`,
  /** Sorted set of the same, by the id of the last message exchanged. */
  recency: (email: string) => `recent_conversations:${email}`,
  /** Hash of how many messages from each other party a user has seen, by the other's email. */
  seen: (email: string) => `seen_messages:${email}`,
  /** Sorted set of the ids of the messages that a user sent or received, by id. */
  mailbox: (email: string) => `mailbox:${email}`,
  /** Sorted set of the ids of the messages between two users, by id. */
  thread: (one: string, other: string) => `thread:${[one, other].toSorted().join(':')}`,
  /** What came of a request that its sender gave an id: `{fingerprint}:{message id}`. */
  request: (sender: string, requestId: string) => `request:${sender}:${requestId}`,
};

/** The stream of stored messages whose receivers are still to be notified. */
export const NOTIFY_STREAM = 'outbox:notify';

/** How long a repeated request is known again. */
const REQUEST_TTL_SECONDS = 24 * 60 * 60;

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
  | { result: 'mismatch' };

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
  async addMessage(message: NewMessage, storedAt: Date): Promise<AddOutcome> {
    const { senderEmail, receiverEmail, content, requestId } = message;
    const timestamp = storedAt.toISOString();
    const parties = { sender_email: senderEmail, receiver_email: receiverEmail };
    const [result, messageId, entryId] = await this.#connection.run(
      addMessageScript,
      [
        key.counter,
        key.direction(senderEmail, receiverEmail),
        key.partners(senderEmail),
        key.partners(receiverEmail),
        key.recency(senderEmail),
        key.recency(receiverEmail),
        key.mailbox(senderEmail),
        key.mailbox(receiverEmail),
        key.thread(senderEmail, receiverEmail),
        NOTIFY_STREAM,
        // Without an id there is nothing to know again: the key is not used.
        key.request(senderEmail, requestId ?? ''),
      ],
      [
        key.message(''),
        JSON.stringify({ ...parties, content, timestamp }),
        senderEmail,
        receiverEmail,
        timestamp,
        JSON.stringify(parties),
        requestId === undefined ? '' : fingerprint(message),
        REQUEST_TTL_SECONDS,
      ],
    );
    return result === 'mismatch' ? { result } : { result, messageId, entryId };
  }

  /** Finds what came of an earlier request with this id. */
  async findRequest(message: NewMessage): Promise<AddOutcome | undefined> {
    if (message.requestId === undefined) return undefined;
    const found = await this.#redis.get(key.request(message.senderEmail, message.requestId));
    if (found === null) return undefined;
    const [earlier, messageId = ''] = found.split(':');
    return earlier === fingerprint(message) ? { result: 'repeated', messageId } : { result: 'mismatch' };
  }

  /** Reads a slice of a list of messages. */
  async readMessages(
    { userEmail, withEmail, newestFirst }: MessageList,
    { after, count, maxBytes }: Slice,
  ): Promise<SliceRead> {
    const index = withEmail ? key.thread(userEmail, withEmail) : key.mailbox(userEmail);
    const [start, end] = newestFirst ? ['+inf', '-inf'] : ['-inf', '+inf'];
    const [texts, bytes, stoppedBy, lastId] = await this.#connection.run(
      readMessagesScript,
      [index],
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
      [key.direction(other, email), key.seen(email)],
      [other],
    );
  }

  /** Lists whom a user has exchanged messages with, the most recent first. */
  async listConversations(email: string): Promise<string[]> {
    return this.#redis.zrevrange(key.recency(email), 0, -1);
  }

  get #redis() {
    return this.#connection.client;
  }
}

/** Tells messages of one sender apart. */
function fingerprint({ receiverEmail, content }: NewMessage): string {
  return createHash('sha256')
    .update(JSON.stringify([receiverEmail, content]))
    .digest('base64url');
}

// Redis does not roll back: everything that can fail is checked before the first write.
const addMessageScript = defineScript(
  z.tuple([z.enum(['stored', 'repeated', 'mismatch']), z.string(), z.string()]),
  `
  ${enqueueLua}
  local types = { 'string', 'hash', 'set', 'set', 'zset', 'zset', 'zset', 'zset', 'zset', 'stream', 'string' }
  for index, expected in ipairs(types) do
    local found = redis.call('TYPE', KEYS[index]).ok
    if found ~= expected and found ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. KEYS[index] .. ' is a ' .. found .. ', not a ' .. expected)
    end
  end
  local direction, outbox, request = KEYS[2], KEYS[10], KEYS[11]
  local prefix, record, sender, receiver, timestamp, parties, fingerprint, ttl = unpack(ARGV)
  local count = tonumber(redis.call('HGET', direction, 'message_count') or 0)
  if not count then return redis.error_reply('ERR message_count of ' .. direction .. ' is not a number') end

  if fingerprint ~= '' then
    local earlier = redis.call('GET', request)
    if earlier then
      local known, id = string.match(earlier, '^(.*):(.*)$')
      if known == fingerprint then return { 'repeated', id, '' } end
      return { 'mismatch', '', '' }
    end
  end

  -- Should the counter ever be lost, ids that are taken are passed over.
  local id
  repeat
    id = string.format('%.0f', redis.call('INCR', KEYS[1]))
  until redis.call('SET', prefix .. id, '{"id":' .. id .. ',' .. string.sub(record, 2), 'NX')

  redis.call('HSET', direction, 'last_message_id', id, 'last_timestamp', timestamp, 'message_count', count + 1)
  redis.call('SADD', KEYS[3], receiver)
  redis.call('SADD', KEYS[4], sender)
  redis.call('ZADD', KEYS[5], id, receiver)
  redis.call('ZADD', KEYS[6], id, sender)
  redis.call('ZADD', KEYS[7], id, id)
  redis.call('ZADD', KEYS[8], id, id)
  redis.call('ZADD', KEYS[9], id, id)
  if fingerprint ~= '' then redis.call('SET', request, fingerprint .. ':' .. id, 'EX', ttl) end
  return { 'stored', id, enqueue(outbox, '{"message_id":"' .. id .. '",' .. string.sub(parties, 2)) }
  `,
);

const readMessagesScript = defineScript(
  z.tuple([z.array(z.string()), z.number(), z.enum(['end', 'count', 'bytes']), z.string()]),
  `
  local prefix, start, stop, order, count, max_bytes = unpack(ARGV)
  local range = { 'ZRANGE', KEYS[1], start, stop, 'BYSCORE' }
  if order ~= '' then range[#range + 1] = order end
  for _, argument in ipairs({ 'LIMIT', 0, count + 1 }) do range[#range + 1] = argument end

  local texts, bytes, last_id = {}, 0, ''
  for position, id in ipairs(redis.call(unpack(range))) do
    if position > tonumber(count) then return { texts, bytes, 'count', last_id } end
    local text = redis.call('GET', prefix .. id)
    if text then
      if bytes + #text > tonumber(max_bytes) then return { texts, bytes, 'bytes', last_id } end
      texts[#texts + 1] = text
      bytes = bytes + #text
    end
    last_id = id
  end
  return { texts, bytes, 'end', last_id }
  `,
);

const readConversationsScript = defineScript(
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
);

const markConversationReadScript = defineScript(
  z.number(),
  `
  local received = redis.call('HGET', KEYS[1], 'message_count')
  return received and redis.call('HSET', KEYS[2], ARGV[1], received) or 0
  `,
);
