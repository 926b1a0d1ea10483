import { EventEmitter } from 'node:events';
import { randomUUID } from 'node:crypto';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { defineScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';
import { type Notification, notification } from '../domain/notification.js';

/** What is for the watchers of one user. */
const channelOf = (email: string) => `notifications:${email}`;
/** What is for all. */
const COMMON_CHANNEL = 'notifications';

/** What one replica tells the others. */
const envelope = z.object({
  /** Who tells it, and so need not be told. */
  origin: z.string(),
  /** Of one user; none where it can't tell any more what there was. */
  notifications: z.array(notification).default([]),
  /** Whose watches are over. */
  ended: z.string().optional(),
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
    /** The watches of this address are over. */
    ended: [email: string];
  }>();
  readonly #origin = randomUUID();
  /** What they are to be told next, by channel. */
  #outgoing = new Map<string, Notification[]>();
  /** Whether there is something that the others have not been told of. */
  #hasSkipped = false;
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
      this.#subscribe(COMMON_CHANNEL, () => {});
      for (const email of this.#watchers.keys()) this.#listen(email);
    });
    this.publisher.onChange(() => this.#announceSkipped());
  }

  stop(): void {
    this.subscriber.client.removeAllListeners('message');
  }

  /** Tells the other replicas, soon: what is received for a user in one turn goes out as one message. */
  publish(received: Notification): void {
    this.#announceSkipped();
    this.#tell(channelOf(received.receiver_email), received);
  }

  /** Tells the other replicas that the watches of an address are over. @throws when they can't be told. */
  async publishEnd(email: string): Promise<void> {
    const text = JSON.stringify({ origin: this.#origin, ended: email });
    await this.publisher.run(publishScript, [], [channelOf(email), text]);
  }

  /** Listens to what others receive for a user, from now on. @returns what ends it. */
  watch(email: string): () => void {
    const count = this.#watchers.get(email) ?? 0;
    this.#watchers.set(email, count + 1);
    if (count === 0 && this.subscriber.isUp) this.#listen(email);
    return () => this.#unwatch(email);
  }

  /** Has all others look for what they have not been told of. */
  #announceSkipped(): void {
    if (!this.#hasSkipped || !this.publisher.isUp) return;
    this.#hasSkipped = false;
    this.#tell(COMMON_CHANNEL);
  }

  #tell(channel: string, ...received: Notification[]): void {
    if (!this.publisher.isUp) {
      this.#hasSkipped = true;
      return;
    }
    if (this.#outgoing.size === 0) setImmediate(() => void this.#send());
    const sameChannel = this.#outgoing.get(channel);
    if (sameChannel) sameChannel.push(...received);
    else this.#outgoing.set(channel, received);
  }

  async #send(): Promise<void> {
    const channelsAndTexts = [...this.#outgoing].flatMap(([channel, notifications]) => [
      channel,
      JSON.stringify({ origin: this.#origin, notifications }),
    ]);
    this.#outgoing = new Map();
    try {
      await this.publisher.run(publishScript, [], channelsAndTexts);
    } catch (error) {
      this.#hasSkipped = true;
      this.logger.debug({ err: error }, 'the other replicas were not told');
    }
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

  #listen(email: string): void {
    // What came until then went by.
    this.#subscribe(channelOf(email), () => this.events.emit('interrupted', email));
  }

  #subscribe(channel: string, onSubscribed: () => void): void {
    this.subscriber.client
      .subscribe(channel)
      .then(onSubscribed)
      .catch((error: unknown) => this.logger.debug({ err: error }, 'could not subscribe'));
  }

  #receive(text: string): void {
    const told = envelope.safeParse(parseJson(text));
    if (!told.success || told.data.origin === this.#origin) return;
    const { notifications, ended } = told.data;
    if (ended !== undefined) this.events.emit('ended', ended);
    else if (notifications.length > 0) for (const one of notifications) this.events.emit('notification', one);
    else for (const email of this.#watchers.keys()) this.events.emit('interrupted', email);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const publishScript = defineScript(
  'publish',
  z.unknown(),
  `for index = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[index], ARGV[index + 1]) end`,
  { acknowledges: false },
);
