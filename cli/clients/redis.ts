import type { RedisConfig } from '@messaging/service_kit/config';
import { describeRedis, redisOptions } from '@messaging/service_kit/redis/connection';
import {
  enqueueLua,
  deadLettersOf,
  type OutboxState,
  readOutboxState,
} from '@messaging/service_kit/redis/outbox';
import { defineScript, runScript } from '@messaging/service_kit/redis/script';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { CommandError, exitCodes } from '../errors.js';
import { type OutboxName, outboxes } from '../outboxes.js';
import { oneLine } from '../output.js';

const PAGE_SIZE = 500;

/** What was given up, by its id and why: what it holds is nobody's business at a terminal. */
export interface DeadLetter {
  stream: OutboxName;
  id: string;
  reason: string;
}

/** The Redis of the suite, of which a command asks what no service tells. */
export class RedisClient {
  private constructor(
    private readonly client: Redis,
    /** The one database, where one is named: it holds the outboxes of one service. */
    private readonly database: number | undefined,
  ) {}

  /** @throws {CommandError} when Redis is away, or does not let us in. */
  static async connect(config: RedisConfig): Promise<RedisClient> {
    const client = new Redis({
      ...redisOptions(config),
      lazyConnect: true,
      failoverDetector: false,
      retryStrategy: () => null,
      sentinelRetryStrategy: () => null,
    });
    let cause: unknown;
    client.on('error', (error) => (cause ??= error));
    try {
      await client.connect();
      await client.ping();
      return new RedisClient(client, config.database);
    } catch (error) {
      client.disconnect();
      const reason = cause ?? error;
      throw new CommandError(
        `Redis at ${describeRedis(config)} does not answer (${reason instanceof Error ? reason.message : String(reason)}): start it, or set REDIS_URL; REDIS_HOST, REDIS_PORT, REDIS_USERNAME, REDIS_PASSWORD and REDIS_TLS; or REDIS_SENTINELS and REDIS_MASTER_NAME`,
        exitCodes.unreachable,
      );
    }
  }

  stop(): void {
    this.client.disconnect();
  }

  /** Reads what is in an outbox. */
  async readOutbox(stream: OutboxName): Promise<OutboxState> {
    await this.#select(stream);
    return readOutboxState((script, keys, args) => runScript(this.client, script, keys, args), stream);
  }

  /** Finds the dead letters of an outbox, or the one with this id, the oldest first. */
  async findDeadLetters(stream: OutboxName, id: string | undefined): Promise<DeadLetter[]> {
    await this.#select(stream);
    const letters: DeadLetter[] = [];
    let start = id ?? '-';
    for (;;) {
      const page = await this.client.xrange(deadLettersOf(stream), start, id ?? '+', 'COUNT', PAGE_SIZE);
      for (const [letterId, fields] of page) letters.push({ stream, id: letterId, reason: reasonOf(fields) });
      const last = letters.at(-1);
      if (page.length < PAGE_SIZE || !last) return letters;
      start = `(${last.id}`;
    }
  }

  /** Puts a letter back into its outbox, unless it can not be read, or is gone by now. */
  async replay({ stream, id }: DeadLetter): Promise<'replayed' | 'gone' | 'unreadable'> {
    await this.#select(stream);
    return runScript(this.client, replayScript, [stream, deadLettersOf(stream)], [id]);
  }

  async #select(stream: OutboxName): Promise<void> {
    const own = outboxes.find((outbox) => outbox.stream === stream)?.database;
    await this.client.select(this.database ?? own ?? 0);
  }
}

function reasonOf(fields: string[]): string {
  const reason = fields.at(-2) === 'reason' ? fields.at(-1) : undefined;
  return oneLine(reason ?? 'unknown');
}

// The relay of any replica takes it up, as it does whatever nobody has worked on for a while.
const replayScript = defineScript(
  'replay',
  z.enum(['replayed', 'gone', 'unreadable']),
  `
  ${enqueueLua}
  local letter = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
  if not letter then return 'gone' end
  local fields = letter[2]
  if fields[1] ~= 'entry' then return 'unreadable' end
  -- All but the reason that it died of.
  enqueue(KEYS[1], unpack(fields, 2, fields[#fields - 1] == 'reason' and #fields - 2 or #fields))
  redis.call('XDEL', KEYS[2], ARGV[1])
  if redis.call('XLEN', KEYS[2]) == 0 then redis.call('DEL', KEYS[2]) end
  return 'replayed'
  `,
);
