import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { defineScript, runScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';
import { type NotificationRecord, notificationRecord } from '../domain/notification.js';
import { type SubscriptionRecord, subscriptionRecord } from '../domain/subscription.js';

/** The database that holds the notifications. */
export const NOTIFICATION_DATABASE = 2;

const key = {
  /** List of a user's notifications, newest at the head. */
  notifications: (email: string) => `notifications:${email}`,
  /** Hash of every subscription, by email. */
  subscriptions: 'subscriptions',
};

/** The notifications and subscriptions in Redis. */
export class NotificationStore {
  readonly #connection: RedisConnection;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  /** Stores a notification. Resolves to false, and stores nothing, when the receiver is unsubscribed. */
  async addUnlessUnsubscribed(notification: NotificationRecord): Promise<boolean> {
    const stored = await runScript(
      this.#redis,
      addUnlessUnsubscribedScript,
      [key.subscriptions, key.notifications(notification.receiver_email)],
      [notification.receiver_email, JSON.stringify(notification)],
    );
    return stored === 1;
  }

  async listNotifications(email: string): Promise<NotificationRecord[]> {
    const texts = await this.#redis.lrange(key.notifications(email), 0, -1);
    return texts.map((text) => notificationRecord.parse(JSON.parse(text)));
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

const addUnlessUnsubscribedScript = defineScript(
  z.number(),
  `
  local subscription = redis.call('HGET', KEYS[1], ARGV[1])
  if subscription and not cjson.decode(subscription).subscribed then return 0 end
  redis.call('LPUSH', KEYS[2], ARGV[2])
  return 1
  `,
);
