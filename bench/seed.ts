import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  MESSAGE_DATABASE,
  MessageStore,
  NOTIFY_STREAM,
} from '@messaging/message_service/dist/store/message-store.js';
import {
  NOTIFICATION_DATABASE,
  NotificationStore,
  PUSH_STREAM,
} from '@messaging/notification_service/dist/store/notification-store.js';
import { createLogger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { SUBSCRIBE_STREAM, USER_DATABASE, UserStore } from '@messaging/user_service/dist/store/user-store.js';
import type { Redis } from 'ioredis';
import type { BenchRedis } from './processes.js';
import { waitUntil } from './wait-until.js';

/** How much is on its way to Redis at once. */
const CHUNK = 4_096;

/** Nobody waits for what is stored here. */
const context = { deadline: Infinity };
const TIMEOUT_MS = 60_000;
const WRITE_TIMEOUT_MS = 10 * 60_000;

/** Writes what the services would have written, with the services' own stores, into a Redis that nobody else uses yet. */
export class Seed {
  private constructor(
    private readonly connections: {
      users: RedisConnection;
      messages: RedisConnection;
      notifications: RedisConnection;
    },
    private readonly signal: AbortSignal,
  ) {}

  /** Runs `fill`, without waiting for the disk; when this resolves, all of it is there. */
  static async run(
    redis: BenchRedis,
    signal: AbortSignal,
    fill: (seed: Seed) => Promise<void>,
  ): Promise<void> {
    const logger = await createLogger('bench', 'silent', 'json');
    const connect = async (database: number) => {
      const config = {
        host: redis.host,
        port: redis.port,
        username: undefined,
        password: undefined,
        hasTls: false,
        timeoutMs: TIMEOUT_MS,
      };
      const connection = new RedisConnection(config, database, logger);
      connection.start();
      await once(connection.client, 'ready', { signal });
      return connection;
    };
    const connections = {
      users: await connect(USER_DATABASE),
      messages: await connect(MESSAGE_DATABASE),
      notifications: await connect(NOTIFICATION_DATABASE),
    };
    try {
      const admin = connections.users.client;
      await admin.config('SET', 'appendonly', 'no');
      await fill(new Seed(connections, signal));
      await admin.config('SET', 'appendonly', 'yes');
      await waitUntil(
        'Redis has written what was seeded',
        async () => isWritten(admin),
        signal,
        WRITE_TIMEOUT_MS,
      );
    } finally {
      await Promise.all(Object.values(connections).map((connection) => connection.stop()));
    }
  }

  /** Creates accounts. Nobody can log in with them. @param password what stands for the hash of one */
  async addUsers(emails: readonly string[], password = ''): Promise<void> {
    const store = new UserStore(this.connections.users, 0);
    await this.#inChunks(emails.length, async (position) => {
      const email = emails[position] ?? '';
      await store.createUser({ name: email, email, password }, context);
    });
    // They need no subscribing: whoever has not unsubscribed is notified.
    await this.connections.users.client.del(SUBSCRIBE_STREAM);
  }

  /** Has users notified, as a new account is. */
  async addSubscriptions(emails: readonly string[]): Promise<void> {
    const store = this.#notifications();
    await this.#inChunks(emails.length, async (position) => {
      await store.setSubscription({ user_email: emails[position] ?? '', subscribed: true });
    });
  }

  /**
   * Stores `count` messages between two users, from the one and from the other in turn.
   *
   * @param options.contentBytes how long each is, in letters at random: a file can't be compressed to less than there is in it
   * @param options.hasRequestIds whether they could be sent again without being stored again
   */
  async addMessages(
    [one, other]: readonly [string, string],
    count: number,
    options: { contentBytes?: number; hasRequestIds?: boolean } = {},
  ): Promise<void> {
    const store = new MessageStore(this.connections.messages);
    await this.#inChunks(count, async (position) => {
      const [senderEmail, receiverEmail] = position % 2 === 0 ? [one, other] : [other, one];
      const content =
        options.contentBytes === undefined
          ? `Hello, how are you? This is message ${position}.`
          : randomText(options.contentBytes);
      const requestId = options.hasRequestIds ? randomUUID() : undefined;
      await store.addMessage(
        { senderEmail, receiverEmail, content, requestId },
        { sender: '', receiver: '' },
        new Date(),
        context,
      );
      // Nobody is to be notified of these; kept to the end, the entries would take more memory than the messages.
      if (position % CHUNK === 0) await this.connections.messages.client.del(NOTIFY_STREAM);
    });
    await this.connections.messages.client.del(NOTIFY_STREAM);
  }

  /** Stores `count` notifications. @param firstMessage the id of the message that caused the first; none did unless told */
  async addNotifications(
    [sender, receiver]: readonly [string, string],
    count: number,
    firstMessage?: number,
  ): Promise<void> {
    const store = this.#notifications();
    await this.#inChunks(count, async (position) => {
      await store.addUnlessUnsubscribed(
        {
          sender_email: sender,
          receiver_email: receiver,
          timestamp: new Date().toISOString(),
          read: false,
          message_id: firstMessage === undefined ? undefined : String(firstMessage + position),
        },
        '',
        context,
      );
    });
    await this.connections.notifications.client.del(PUSH_STREAM);
  }

  #notifications(): NotificationStore {
    return new NotificationStore(this.connections.notifications, {
      notificationsKept: Number.MAX_SAFE_INTEGER,
      notificationMaxAgeDays: 1,
    });
  }

  async #inChunks(count: number, store: (position: number) => Promise<void>): Promise<void> {
    for (let start = 0; start < count; start += CHUNK) {
      this.signal.throwIfAborted();
      const length = Math.min(CHUNK, count - start);
      await Promise.all(Array.from({ length }, async (_, position) => store(start + position)));
    }
  }
}

function randomText(bytes: number): string {
  return randomBytes(bytes).toString('base64').slice(0, bytes);
}

async function isWritten(redis: Redis): Promise<boolean> {
  const state = await redis.info('persistence');
  return ['aof_rewrite_in_progress', 'aof_rewrite_scheduled', 'rdb_bgsave_in_progress'].every((name) =>
    state.includes(`${name}:0`),
  );
}
