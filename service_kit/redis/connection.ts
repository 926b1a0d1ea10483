import { EventEmitter } from 'node:events';
import { Redis, ReplyError } from 'ioredis';
import { z } from 'zod';
import type { RedisConfig } from '../config.js';
import type { Component, VitalDependency } from '../lifecycle.js';
import { Coalescer } from '../coalescer.js';
import type { Logger } from '../log.js';
import { redisCommandSeconds, redisUp } from '../metrics.js';
import { type SpanOptions, tracing } from '../tracing.js';
import { runScripts, type Script, type ScriptCall } from './script.js';

/** Where Redis is and how it lets one in, as ioredis wants to know it. */
export function redisOptions(config: Omit<RedisConfig, 'timeoutMs'>) {
  const { host, port, username, password, hasTls } = config;
  return {
    host,
    port,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    // Whom to trust is Node's to know: NODE_EXTRA_CA_CERTS adds an authority of one's own.
    ...(hasTls && { tls: {} }),
  };
}

const PROBE_INTERVAL_MS = 1_000;
const MAX_RECONNECT_DELAY_MS = 1_000;

/**
 * A connection to one database of Redis. It connects in the background and again after every loss. While
 * Redis is away its commands fail at once with `unavailable`; none is queued, and none is sent twice.
 */
export class RedisConnection implements Component, VitalDependency {
  readonly name = 'redis';
  readonly client: Redis;
  #isUp = false;
  #lastFailure: string | undefined;
  #probe: NodeJS.Timeout | undefined;
  static #hasWarned = false;
  readonly #events = new EventEmitter<{ change: [] }>();
  readonly #scripts: Coalescer<ScriptCall, unknown>;
  readonly #logger: Logger;
  readonly #address: string;
  readonly #database: number;

  constructor(config: RedisConfig, database: number, logger: Logger) {
    this.#logger = logger;
    this.#database = database;
    this.#address = `${config.host}:${config.port}/${database}`;
    this.client = new Redis({
      ...redisOptions(config),
      db: database,
      lazyConnect: true,
      connectTimeout: config.timeoutMs,
      commandTimeout: config.timeoutMs,
      // A command whose connection broke is reported to its caller rather than sent again.
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: (attempt) =>
        Math.min(50 * 2 ** Math.min(attempt, 10), MAX_RECONNECT_DELAY_MS) * (0.5 + Math.random() / 2),
    });
    this.#scripts = new Coalescer({
      name: 'Redis',
      // One pipeline costs Redis little, and waiting for another would cost its writers a sync to the disk.
      itemsWorthABatch: 1,
      send: async (calls) => runScripts(this.client, calls),
    });
    redisUp.add({ database: String(database) }, () => Number(this.#isUp));
    this.client.on('ready', () => void this.#check());
    this.client.on('ready', () => void this.#warnOfEviction());
    this.client.on('close', () => this.#set(false));
    this.client.on('error', (error: Error) => {
      this.#reportFailure(error);
      this.#leaveWrongDatabase(error);
    });
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  onChange(listener: () => void): void {
    this.#events.on('change', listener);
  }

  /** Runs a script as one atomic step. Those that are run at the same time share a round trip. */
  async run<Reply>(script: Script<Reply>, keys: string[], args: (string | number)[]): Promise<Reply> {
    const call = { script, keys, args };
    const run = async () => measure(script.name, async () => this.#scripts.run(call));
    const reply = tracing?.isInSpan ? await tracing.trace(this.#spanOf(script), run) : await run();
    return script.reply.parse(reply);
  }

  /** Without keys and arguments: they hold emails and contents. */
  #spanOf(script: Script<unknown>): SpanOptions {
    return {
      name: `EVALSHA ${script.name}`,
      kind: 'client',
      attributes: {
        'db.system.name': 'redis',
        'db.operation.name': 'EVALSHA',
        'db.stored_procedure.name': script.name,
        'db.namespace': String(this.#database),
      },
    };
  }

  start(): void {
    this.#logger.info({ redis: this.#address }, 'connecting to Redis');
    // A first failure is followed by retries; the `error` handler above has logged it.
    this.client.connect().catch(() => {});
    // A Redis that hangs keeps its connections open: only an answer proves that it lives.
    this.#probe = setInterval(() => void this.#check(), PROBE_INTERVAL_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#probe);
    this.client.removeAllListeners('close');
    await this.client.quit().catch(() => this.client.disconnect());
  }

  async #check(): Promise<void> {
    this.#set(
      await measure('ping', async () => this.client.ping()).then(
        () => true,
        () => false,
      ),
    );
  }

  /**
   * ioredis goes on where a database is refused, in database 0.
   *
   * @NOTE What is asked in the same turn may still be run there, as far as the user's rights go.
   */
  #leaveWrongDatabase(error: Error): void {
    const isRefusal = error instanceof ReplyError && 'command' in error;
    const command = isRefusal ? refusedCommand.safeParse(error.command).data : undefined;
    if (command?.name === 'select') this.client.disconnect(true);
  }

  /** Says once an outage, or whenever it changes, what is wrong: attempts go on several times a second. */
  #reportFailure(error: Error): void {
    const level = error.message === this.#lastFailure ? 'debug' : 'warn';
    this.#lastFailure = error.message;
    this.#logger[level](
      { redis: this.#address, reason: error.message },
      'could not connect to Redis; trying again',
    );
  }

  /** Warns once per process of a Redis that throws data away when it is full. Managed ones don't always tell. */
  async #warnOfEviction(): Promise<void> {
    try {
      const [, policy] = await this.client.config('GET', 'maxmemory-policy');
      if (policy === undefined || policy === 'noeviction' || RedisConnection.#hasWarned) return;
      RedisConnection.#hasWarned = true;
      this.#logger.warn(
        { redis: this.#address, policy },
        'Redis deletes stored data when its memory is full, acknowledged messages and notifications included: set maxmemory-policy noeviction',
      );
    } catch (error) {
      this.#logger.debug({ err: error }, 'Redis does not tell its maxmemory-policy');
    }
  }

  #set(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    if (isUp) this.#lastFailure = undefined;
    if (isUp) this.#logger.info({ redis: this.#address }, 'connected to Redis');
    else this.#logger.warn({ redis: this.#address }, 'lost Redis; trying again in the background');
    this.#events.emit('change');
  }
}

const refusedCommand = z.object({ name: z.string() });

async function measure<Reply>(command: string, work: () => Promise<Reply>): Promise<Reply> {
  const startedAt = performance.now();
  let outcome = 'failed';
  try {
    const reply = await work();
    outcome = 'answered';
    return reply;
  } finally {
    redisCommandSeconds.observe({ command, outcome }, (performance.now() - startedAt) / 1_000);
  }
}
