import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua, originText } from '@messaging/service_kit/redis/outbox';
import { defineBatchScript, defineScript, requireTypesLua } from '@messaging/service_kit/redis/script';
import type { RequestContext } from '@messaging/service_kit/request';
import { z } from 'zod';
import { type NewNotification, type NotificationRecord, notificationRecord } from '../domain/notification.js';
import { type SubscriptionRecord, subscriptionRecord } from '../domain/subscription.js';
import { key } from './keys.js';
import { tenureLua } from './tenure.js';

/** The database that holds the notifications. */
export const NOTIFICATION_DATABASE = 2;

const DAY_MS = 24 * 60 * 60 * 1_000;

/** The stream of stored notifications that FrontendService is still to take. */
export const PUSH_STREAM = 'outbox:push';

/** What storing a notification came to. */
export type AddOutcome =
  | { result: 'stored'; notification: NotificationRecord; entryId: string }
  /** It is stored already. */
  | { result: 'repeated' }
  | { result: 'unsubscribed' }
  /** The receiver has left the address, and it is not known yet whether for another: it is with what was left. */
  | { result: 'kept' }
  /** The receiver has left the address: for another, where that is told. */
  | { result: 'left'; to: Address | undefined };

/** An address, and whose it is. */
export interface Address {
  email: string;
  /** Empty where whoever has it is meant. */
  tenure: string;
}

/** How much is kept for each user. */
export interface Retention {
  /** How many notifications: the newest. */
  notificationsKept: number;
  /** For how long at the most, in days. */
  notificationMaxAgeDays: number;
}

/** A part of a user's notifications: `count` of them at the most. */
export interface Slice {
  /** The id after which it starts, in the order of the list; undefined for its start. */
  after: number | undefined;
  count: number;
  order: 'newest first' | 'oldest first';
  unreadOnly: boolean;
}

/** What was read of it. */
export interface SliceRead {
  notifications: NotificationRecord[];
  /** Where the next slice starts; undefined at the end of the list. */
  nextAfter: number | undefined;
  /** The id of the user's last notification, whether or not it is in the slice, or deleted; '0' before the first. */
  lastId: string;
}

/** The notifications and subscriptions in Redis. */
export class NotificationStore {
  readonly #connection: RedisConnection;
  readonly #retention: Retention;

  constructor(connection: RedisConnection, retention: Retention) {
    this.#connection = connection;
    this.#retention = retention;
  }

  /**
   * Stores a notification, its id and the outbox entry that has it shown, in one atomic step. Stores nothing when
   * the receiver is unsubscribed, or was notified of this message before. Of what is too old, or one too many, the oldest
   * two go: so a user's list shrinks to what is to be kept, and no write costs more than another.
   */
  async addUnlessUnsubscribed(
    notification: NewNotification,
    tenure: string,
    context: RequestContext,
  ): Promise<AddOutcome> {
    const [result, id, entryId] = await this.#connection.handle(addUnlessUnsubscribedScript, {
      receiver: notification.receiver_email,
      tenure,
      message_id: notification.message_id ?? '',
      record: JSON.stringify(notification).slice(0, -1),
      kept: String(this.#retention.notificationsKept),
      oldest_kept: this.#oldestKept(),
      origin: originText(context),
    });
    switch (result) {
      case 'stored':
        return { result, notification: { id, receiver_tenure: tenure, ...notification }, entryId };
      case 'left':
        return { result, to: parseAddress(id) };
      default:
        return { result };
    }
  }

  #oldestKept(): string {
    return new Date(Date.now() - this.#retention.notificationMaxAgeDays * DAY_MS).toISOString();
  }

  /** Reads all of a user's notifications, newest first, as one JSON array, in which they are as they are stored. */
  async readAllAsJson(email: string): Promise<Buffer> {
    const records = await this.#redis.lrangeBuffer(key.notifications(email), 0, -1);
    const list = toJsonArray(records);
    // To look into each record takes longer than all the rest, and hardly a list has anything to be left out.
    return list.includes(DELETED) ? toJsonArray(records.filter((record) => !record.includes(DELETED))) : list;
  }

  /**
   * Reads a slice of a user's notifications. Those of older versions have no id: they come before the first, and count
   * down from 0. Those that were deleted are left out, so that a slice may have fewer than asked for.
   */
  async readNotifications(email: string, { after, count, order, unreadOnly }: Slice): Promise<SliceRead> {
    const [texts, nextAfter, lastId] = await this.#connection.run(
      unreadOnly ? readUnreadScript : readNotificationsScript,
      [key.notifications(email), key.counter(email), key.unread(email)],
      [after ?? '', count, order],
    );
    const inListOrder = order === 'oldest first' && !unreadOnly ? texts.toReversed() : texts;
    return {
      notifications: parseRecords(inListOrder),
      nextAfter: nextAfter === '' ? undefined : Number(nextAfter),
      lastId,
    };
  }

  /** Marks the notifications with these ids as read. */
  async markRead(email: string, ids: number[]): Promise<void> {
    await this.#connection.run(
      markReadScript,
      [key.notifications(email), key.counter(email), key.unread(email)],
      ids,
    );
  }

  /** Lists the oldest unread notifications with an id up to `upToId`, `count` of them at the most. */
  async listUnreadIds(email: string, upToId: number, count: number): Promise<number[]> {
    const ids = await this.#redis.zrange(
      key.unread(email),
      '-inf',
      String(upToId),
      'BYSCORE',
      'LIMIT',
      0,
      count,
    );
    return ids.map(Number);
  }

  /** Deletes the notifications with these ids. Resolves to how many there were. */
  async deleteNotifications(email: string, ids: number[]): Promise<number> {
    return this.#connection.run(
      deleteScript,
      [key.notifications(email), key.counter(email), key.unread(email)],
      ids,
    );
  }

  /**
   * Deletes the oldest notifications with an id up to `upToId`, `count` of them at the most. `isDone` tells whether none
   * is left; `deleted`, how many were not deleted before.
   */
  async deleteOldest(
    email: string,
    upToId: number,
    count: number,
  ): Promise<{ isDone: boolean; deleted: number }> {
    const [dropped, deleted] = await this.#connection.run(
      deleteOldestScript,
      [key.notifications(email), key.counter(email), key.unread(email), key.notified(email)],
      [upToId, count],
    );
    return { isDone: dropped < count, deleted };
  }

  /** Resolves to the id of a user's last notification; to 0 before the first. */
  async findLastId(email: string): Promise<number> {
    return Number((await this.#redis.get(key.counter(email))) ?? 0);
  }

  async countUnread(email: string): Promise<number> {
    return this.#redis.zcard(key.unread(email));
  }

  async findSubscription(email: string): Promise<SubscriptionRecord | undefined> {
    const text = await this.#redis.hget(key.subscriptions, email);
    return text === null ? undefined : subscriptionRecord.parse(JSON.parse(text));
  }

  /** Notes whether a user is notified, unless that is of a tenure that has ended: `tenure` is empty where any will do. */
  async setSubscription(subscription: SubscriptionRecord, tenure = ''): Promise<void> {
    const { user_email } = subscription;
    await this.#connection.run(
      setSubscriptionScript,
      [key.subscriptions, PUSH_STREAM, key.occupant(user_email)],
      [user_email, JSON.stringify(subscription), tenure],
    );
  }

  /** Tells whether a user has left an address. */
  async hasLeft({ email, tenure }: Address): Promise<boolean> {
    const occupant = await this.#redis.get(key.occupant(email));
    return tenure !== '' && occupant !== null && Number(tenure) < Number(occupant);
  }

  get #redis() {
    return this.#connection.client;
  }
}

function parseAddress(text: string): Address | undefined {
  const [tenure = '', email = ''] = text.split(/:(.*)/);
  return email === '' ? undefined : { email, tenure };
}

/** What only the JSON of a tombstone has: within a string, JSON escapes quotes. */
const DELETED = '"deleted":true';

const [OPENING, COMMA, CLOSING] = [Buffer.from('['), Buffer.from(','), Buffer.from(']')];

function toJsonArray(records: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [OPENING];
  for (const record of records) {
    if (parts.length > 1) parts.push(COMMA);
    parts.push(record);
  }
  return Buffer.concat([...parts, CLOSING]);
}

/** Parses them as one list, which takes half as long as one by one, without those that were deleted. */
function parseRecords(texts: string[]): NotificationRecord[] {
  const records = z.array(notificationRecord).parse(JSON.parse(`[${texts.join(',')}]`));
  return records.filter(({ deleted }) => !deleted);
}

/** Records, where the next slice starts, and the last id. */
const slice = z.tuple([z.array(z.string()), z.string(), z.string()]);

/**
 * The last notification is at the head of the list, at index 0, and the ids have no gap: what is deleted from between
 * leaves a tombstone, and is taken away with the oldest.
 */
const positionLua = `
  local last = tonumber(redis.call('GET', KEYS[2]) or 0)
  local function count(number) return string.format('%.0f', number) end
  local function at(id) return id >= 1 and id <= last and redis.call('LINDEX', KEYS[1], last - id) end
`;

/**
 * `drop_oldest(keys, last, length, count)` takes the oldest notifications away, and all that belongs to them; `last` is the id of the
 * newest, and `length` how many there are. It returns how many were not deleted before.
 */
const dropOldestLua = `
  local function drop_oldest(keys, last, length, count)
    if count < 1 then return 0 end
    local ids, messages, deleted = {}, {}, 0
    for index, record in ipairs(redis.call('RPOP', keys.notifications, count)) do
      ids[index] = string.format('%.0f', last - length + index)
      local is_json, notification = pcall(cjson.decode, record)
      if is_json then
        messages[#messages + 1] = notification.message_id
        if not notification.deleted then deleted = deleted + 1 end
      end
    end
    redis.call('ZREM', keys.unread, unpack(ids))
    if #messages > 0 then redis.call('HDEL', keys.notified, unpack(messages)) end
    return deleted
  end
`;

const addReply = z.tuple([
  z.enum(['stored', 'repeated', 'unsubscribed', 'left', 'kept']),
  z.string(),
  z.string(),
]);

/** `record` is the notification's JSON, up to its id; `message_id` is empty where it is of no message. */
const addUnlessUnsubscribedScript = defineBatchScript(
  'addUnlessUnsubscribed',
  ['receiver', 'tenure', 'message_id', 'record', 'kept', 'oldest_kept', 'origin'],
  addReply,
  `
  ${enqueueLua}
  ${requireTypesLua}
  ${tenureLua}
  ${dropOldestLua}
  local subscriptions, outbox = '${key.subscriptions}', '${PUSH_STREAM}'

  -- What is stored at the end of the run, and by receiver what theirs share.
  local notifications, receivers = {}, {}

  -- Where this writes one, it drops two at the most: lists shrink to what is to be kept, and no write costs more than another.
  local function drop_what_is_too_much(receiver, last, length)
    local at_most = 2 * #receiver
    local count = math.max(math.min(length - receiver.kept, at_most), 0)
    while count < at_most do
      local oldest = redis.call('LINDEX', receiver.keys.notifications, -1 - count)
      local timestamp = oldest and string.match(oldest, '"timestamp": ?"(%d%d%d%d%-%d%d%-%d%d[^"]*)"')
      if not (timestamp and timestamp < receiver.oldest_kept) then break end
      count = count + 1
    end
    drop_oldest(receiver.keys, last, length, count)
  end
  local function store_for(receiver)
    local keys, records, ids, notified = receiver.keys, {}, {}, {}
    local last = redis.call('INCRBY', keys.counter, #receiver)
    for index, notification in ipairs(receiver) do
      local id = string.format('%.0f', last - #receiver + index)
      notification.id = id
      notification.record = notification.record .. ',"id":"' .. id .. '"'
      records[index] = notification.record .. '}'
      ids[2 * index - 1], ids[2 * index] = id, id
      if notification.message_id ~= '' then
        notified[#notified + 1], notified[#notified + 2] = notification.message_id, id
      end
    end
    local length = redis.call('LPUSH', keys.notifications, unpack(records))
    if #notified > 0 then redis.call('HSET', keys.notified, unpack(notified)) end
    redis.call('ZADD', keys.unread, unpack(ids))
    drop_what_is_too_much(receiver, last, length)
    if receiver.has_left then redis.call('HSETNX', departed_key(receiver.email), receiver.tenure, '-') end
  end
  local function store()
    for _, receiver in pairs(receivers) do
      if #receiver > 0 then store_for(receiver) end
    end
    for _, notification in ipairs(notifications) do
      if notification.is_shown then
        local tenure = notification.tenure
        local entry = notification.record .. (tenure == '' and '}' or ',"receiver_tenure":"' .. tenure .. '"}')
        notification.outcome[2] = notification.id
        notification.outcome[3] = enqueue(outbox, entry, fields_of(notification.origin))
      end
    end
    notifications, receivers = {}, {}
  end

  local function look_at_receiver(email, tenure)
    local keys = live_keys(email)
    require_type(subscriptions, 'hash')
    require_type(keys.notifications, 'list')
    require_count(keys.counter)
    require_type(keys.notified, 'hash')
    require_type(keys.unread, 'zset')
    require_type(outbox, 'stream')
    local has_left = not settle(email, tenure, outbox)
    local subscription
    if has_left then
      keys = left_keys(email, tenure)
      subscription = redis.call('HGET', departed_key(email), tenure)
    else
      subscription = redis.call('HGET', subscriptions, email)
    end
    return {
      email = email,
      keys = keys,
      tenure = tenure,
      has_left = has_left,
      to = has_left and redis.call('HGET', moved_key(email), tenure),
      is_unsubscribed = subscription and is_unsubscribed(subscription),
      notified = {},
    }
  end

  local function handle(notification)
    local email, tenure, message = notification.receiver, notification.tenure, notification.message_id
    local receiver = receivers[email]
    if receiver and receiver.tenure ~= tenure then
      -- What came first may be meant for whoever had the address before.
      store()
      receiver = nil
    end
    receiver = receiver or look_at_receiver(email, tenure)
    receivers[email] = receiver

    local is_known = message ~= ''
      and (receiver.notified[message] or redis.call('HEXISTS', receiver.keys.notified, message) == 1)
    if receiver.to and not is_known then return { 'left', receiver.to, '' } end
    if is_known then return { 'repeated', '', '' } end
    if receiver.is_unsubscribed then return { 'unsubscribed', '', '' } end

    receiver.notified[message] = true
    receiver.kept, receiver.oldest_kept = tonumber(notification.kept), notification.oldest_kept
    receiver[#receiver + 1], notifications[#notifications + 1] = notification, notification
    -- Whoever has the address now is shown nothing of what was meant for somebody before.
    notification.is_shown = not receiver.has_left
    notification.outcome = { notification.is_shown and 'stored' or 'kept', '', '' }
    return notification.outcome
  end
  local finish = store
  `,
);

const readNotificationsScript = defineScript(
  'readNotifications',
  slice,
  `
  ${positionLua}
  local length = redis.call('LLEN', KEYS[1])
  local after, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
  local first, final, next_after
  if ARGV[3] == 'newest first' then
    first = after and math.max(last - after + 1, 0) or 0
    final = math.min(first + wanted, length) - 1
    if final + 1 < length then next_after = last - final end
  else
    final = math.min(after and last - after or length, length) - 1
    first = math.max(final - wanted + 1, 0)
    if first > 0 then next_after = last - first end
  end
  if first > final then return { {}, '', count(last) } end
  return { redis.call('LRANGE', KEYS[1], first, final), next_after and count(next_after) or '', count(last) }
  `,
  { acknowledges: false },
);

const readUnreadScript = defineScript(
  'readUnread',
  slice,
  `
  ${positionLua}
  local wanted = tonumber(ARGV[2])
  local after = ARGV[1] ~= '' and '(' .. ARGV[1]
  local ids
  if ARGV[3] == 'newest first' then
    ids = redis.call('ZRANGE', KEYS[3], after or '+inf', '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, wanted + 1)
  else
    ids = redis.call('ZRANGE', KEYS[3], after or '-inf', '+inf', 'BYSCORE', 'LIMIT', 0, wanted + 1)
  end
  local texts = {}
  for index = 1, math.min(#ids, wanted) do texts[index] = at(tonumber(ids[index])) end
  return { texts, #ids > wanted and ids[wanted] or '', count(last) }
  `,
  { acknowledges: false },
);

// The text between the quotes of a JSON string has none that are not escaped: what is replaced is the key.
const markReadScript = defineScript(
  'markRead',
  z.number(),
  `
  ${positionLua}
  for _, argument in ipairs(ARGV) do
    local id = tonumber(argument)
    if redis.call('ZREM', KEYS[3], argument) == 1 then
      local record = at(id)
      if record then
        redis.call('LSET', KEYS[1], last - id, (string.gsub(record, '"read":false', '"read":true', 1)))
      end
    end
  end
  return redis.call('ZCARD', KEYS[3])
  `,
);

const deleteScript = defineScript(
  'delete',
  z.number(),
  `
  ${requireTypesLua}
  ${positionLua}
  require_types({ 'list', 'string', 'zset' })
  local deleted = 0
  for _, argument in ipairs(ARGV) do
    local id = tonumber(argument)
    local record = at(id)
    local is_json, notification = pcall(cjson.decode, record or '')
    if is_json and not notification.deleted then
      local tombstone = cjson.encode({
        sender_email = '',
        receiver_email = notification.receiver_email,
        timestamp = notification.timestamp,
        read = true,
        id = notification.id,
        message_id = notification.message_id,
        deleted = true,
      })
      redis.call('LSET', KEYS[1], last - id, tombstone)
      redis.call('ZREM', KEYS[3], argument)
      deleted = deleted + 1
    end
  end
  return deleted
  `,
);

const deleteOldestScript = defineScript(
  'deleteOldest',
  z.tuple([z.number(), z.number()]),
  `
  ${requireTypesLua}
  ${positionLua}
  ${dropOldestLua}
  require_types({ 'list', 'string', 'zset', 'hash' })
  local up_to_id, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
  local length = redis.call('LLEN', KEYS[1])
  local count = math.min(up_to_id - (last - length), length, wanted)
  local keys = { notifications = KEYS[1], unread = KEYS[3], notified = KEYS[4] }
  return { math.max(count, 0), drop_oldest(keys, last, length, count) }
  `,
);

const setSubscriptionScript = defineScript(
  'setSubscription',
  z.number(),
  `
  ${enqueueLua}
  ${requireTypesLua}
  ${tenureLua}
  require_types({ 'hash', 'stream', 'string' })
  local email, subscription, tenure = unpack(ARGV)
  if not settle(email, tenure, KEYS[2]) then return 0 end
  return redis.call('HSET', KEYS[1], email, subscription)
  `,
);
