import { EventEmitter } from 'node:events';
import { randomUUID } from 'node:crypto';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { z } from 'zod';
import { type Notification, notification } from '../domain/notification.js';

const channelOf = (email: string) => `notifications:${email}`;

/** What one replica tells the others. */
const envelope = z.object({
  /** Who tells it, and so need not be told. */
  origin: z.string(),
  notification,
});

/**
 * Tells every replica of a notification that one of them received: each watcher is connected to one replica only. Best
 * effort, over Redis pub/sub: who misses something sees the gap.
 */
export class Fanout implements Component {
  readonly events = new EventEmitter<{
    /** Another replica received it. */
    notification: [Notification];
    /** Something for this user may have been missed. */
    interrupted: [email: string];
  }>();
  readonly #origin = randomUUID();
  /** How many watch each user here. */
  readonly #watchers = new Map<string, number>();

  constructor(
    private readonly publisher: RedisConnection,
    private readonly subscriber: RedisConnection,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.subscriber.client.on('message', (_channel, text) => this.#receive(text));
    this.subscriber.onChange(() => {
      if (!this.subscriber.isUp) return;
      for (const email of this.#watchers.keys()) this.#subscribe(email);
    });
  }

  stop(): void {
    this.subscriber.client.removeAllListeners('message');
  }

  /** Tells the other replicas. */
  publish(received: Notification): void {
    if (!this.publisher.isUp) return;
    const text = JSON.stringify({ origin: this.#origin, notification: received });
    this.publisher.client
      .publish(channelOf(received.receiver_email), text)
      .catch((error: unknown) => this.logger.debug({ err: error }, 'the other replicas were not told'));
  }

  /** Listens to what others receive for a user, from now on. @returns what ends it. */
  watch(email: string): () => void {
    const count = this.#watchers.get(email) ?? 0;
    this.#watchers.set(email, count + 1);
    if (count === 0 && this.subscriber.isUp) this.#subscribe(email);
    return () => this.#unwatch(email);
  }

  #unwatch(email: string): void {
    const count = (this.#watchers.get(email) ?? 1) - 1;
    if (count > 0) {
      this.#watchers.set(email, count);
      return;
    }
    this.#watchers.delete(email);
    if (!this.subscriber.isUp) return;
    this.subscriber.client
      .unsubscribe(channelOf(email))
      .catch((error: unknown) => this.logger.debug({ err: error }, 'could not unsubscribe'));
  }

  #subscribe(email: string): void {
    this.subscriber.client.subscribe(channelOf(email)).then(
      // What came until now went by.
      () => this.events.emit('interrupted', email),
      (error: unknown) => this.logger.debug({ err: error }, 'could not subscribe'),
    );
  }

  #receive(text: string): void {
    let content: unknown;
    try {
      content = JSON.parse(text);
    } catch (error) {
      this.logger.debug({ err: error }, 'another replica told something that is not JSON');
      return;
    }
    const parsed = envelope.safeParse(content);
    if (parsed.success && parsed.data.origin !== this.#origin) {
      this.events.emit('notification', parsed.data.notification);
    }
  }
}
