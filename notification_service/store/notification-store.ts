import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua } from '@messaging/service_kit/redis/outbox';
import { defineScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';
import { type NewNotification, type NotificationRecord, notificationRecord } from '../domain/notification.js';
import { type SubscriptionRecord, subscriptionRecord } from '../domain/subscription.js';

/** The database that holds the notifications. */
export const NOTIFICATION_DATABASE = 2;

const key = {
  /** List of a user's notifications, newest at the head. */
  notifications: (email: string) => `notifications:${email}`,
  /** Hash of every subscription, by email. */
  subscriptions: 'subscriptions',
  /** The id of a user's last notification. */
  counter: (email: string) => `notification_counter:${email}`,
  /** Hash of the messages that a user was notified of, with the notification's id. */
  notified: (email: string) => `notified_messages:${email}`,
};

/** The stream of stored notifications that FrontendService is still to take. */
export const PUSH_STREAM = 'outbox:push';

/** What storing a notification came to. */
export type AddOutcome =
  | { result: 'stored'; notification: NotificationRecord; entryId: string }
  /** It is stored already. */
  | { result: 'repeated' }
  | { result: 'unsubscribed' };

/** The notifications and subscriptions in Redis. */
export class NotificationStore {
  readonly #connection: RedisConnection;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  /**
   * Stores a notification, its id and the outbox entry that has it shown, in one atomic step. Stores nothing when
   * the receiver is unsubscribed, or was notified of this message before.
   */
  async addUnlessUnsubscribed(notification: NewNotification): Promise<AddOutcome> {
    const receiver = notification.receiver_email;
    const [result, id, entryId] = await this.#connection.run(
      addUnlessUnsubscribedScript,
      [
        key.subscriptions,
        key.notifications(receiver),
        key.counter(receiver),
        key.notified(receiver),
        PUSH_STREAM,
      ],
      [receiver, JSON.stringify(notification), notification.message_id ?? ''],
    );
    return result === 'stored' ? { result, notification: { ...notification, id }, entryId } : { result };
  }

  async listNotifications(email: string): Promise<NotificationRecord[]> {
    const texts = await this.#redis.lrange(key.notifications(email), 0, -1);
    // As one list: that takes half as long as one by one.
    return z.array(notificationRecord).parse(JSON.parse(`[${texts.join(',')}]`));
  }

  async findSubscription(email: string): Promise<SubscriptionRecord | undefined> {
    const text = await this.#redis.hget(key.subscriptions, email);
    return text === null ? undefined : subscriptionRecord.parse(JSON.parse(text));
  }

  async setSubscription(subscription: SubscriptionRecord): Promise<void> {
    await this.#redis.hset(key.subscriptions, subscription.user_email, JSON.stringify(subscription));
  }

  get #redis() {
    return this.#connection.client;
  }
}

// Redis does not roll back: everything that can fail is checked before the first write.
const addUnlessUnsubscribedScript = defineScript(
  z.tuple([z.enum(['stored', 'repeated', 'unsubscribed']), z.string(), z.string()]),
  `
  ${enqueueLua}
  local types = { 'hash', 'list', 'string', 'hash', 'stream' }
  for index, expected in ipairs(types) do
    local found = redis.call('TYPE', KEYS[index]).ok
    if found ~= expected and found ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. KEYS[index] .. ' is a ' .. found .. ', not a ' .. expected)
    end
  end
  local receiver, record, message = unpack(ARGV)
  if message ~= '' and redis.call('HEXISTS', KEYS[4], message) == 1 then return { 'repeated', '', '' } end
  local subscription = redis.call('HGET', KEYS[1], receiver)
  if subscription and not cjson.decode(subscription).subscribed then return { 'unsubscribed', '', '' } end

  local id = string.format('%.0f', redis.call('INCR', KEYS[3]))
  record = string.sub(record, 1, -2) .. ',"id":"' .. id .. '"}'
  redis.call('LPUSH', KEYS[2], record)
  if message ~= '' then redis.call('HSET', KEYS[4], message, id) end
  return { 'stored', id, enqueue(KEYS[5], record) }
  `,
);
