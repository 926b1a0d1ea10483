import { EventEmitter } from 'node:events';
import { Redis, ReplyError } from 'ioredis';
import { z } from 'zod';
import type { RedisConfig, SentinelConfig } from '../config.js';
import type { Component, VitalDependency } from '../lifecycle.js';
import { Coalescer } from '../coalescer.js';
import { redisUnavailable } from '../errors.js';
import type { Logger } from '../log.js';
import { redisCommandSeconds, redisUp } from '../metrics.js';
import { type SpanOptions, tracing } from '../tracing.js';
import { MAX_ITEMS_A_RUN, runScripts, TooFewReplicasError } from './run-scripts.js';
import { type BatchScript, defineScript, runScript, type Script, type ScriptCall } from './script.js';

/** Where Redis is and how it lets one in, as ioredis wants to know it. */
export function redisOptions(config: RedisConfig) {
  const { host, port, username, password, hasTls, sentinel, timeoutMs } = config;
  // Whom to trust is Node's to know: NODE_EXTRA_CA_CERTS adds an authority of one's own.
  const tls = hasTls ? {} : undefined;
  return {
    ...(sentinel ? sentinelOptions(sentinel, timeoutMs) : { host, port }),
    ...(sentinel && tls && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls }),
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    // A command whose connection broke is reported to its caller rather than sent again.
    maxRetriesPerRequest: 0,
  };
}

/** @see https://redis.io/docs/latest/develop/reference/sentinel-clients/ */
function sentinelOptions({ addresses, masterName, username, password }: SentinelConfig, timeoutMs: number) {
  return {
    sentinels: addresses,
    name: masterName,
    ...(username !== undefined && { sentinelUsername: username }),
    ...(password !== undefined && { sentinelPassword: password }),
    sentinelCommandTimeout: timeoutMs,
    // A primary that hangs keeps its connections open: only the Sentinels say that there is another one.
    failoverDetector: true,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
  };
}

/** Where Redis is, for people; nothing of it is secret. */
export function describeRedis({ host, port, sentinel }: RedisConfig): string {
  if (!sentinel) return `${host}:${port}`;
  return `${sentinel.masterName} of Sentinels ${sentinel.addresses.map((one) => `${one.host}:${one.port}`).join(',')}`;
}

const PROBE_INTERVAL_MS = 1_000;
const MAX_RECONNECT_DELAY_MS = 1_000;
const DISCONNECT_TIMEOUT_MS = 500;

/**
 * How many batches that wait for replicas are under way at once. They wait in turn: were there more, or might each take longer, the
 * last ones would run out of time before they are told that it is the replicas that are missing.
 */
const MAX_WAITING_BATCHES = 4;

/** A replica reports how far it is once a second; one that is silent for longer can't be waited for. */
const MAX_REPLICA_LAG_SECONDS = 2;

/** The service that a database belongs to. */
const OWNER_KEY = 'database_owner';

/** Grows with every failed attempt, up to a bound, and varies, so that not all come back in step. */
function reconnectDelayMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), MAX_RECONNECT_DELAY_MS) * (0.5 + Math.random() / 2);
}

/**
 * A connection to one database of Redis. It connects in the background and again after every loss. While
 * Redis is away its commands fail at once with `unavailable`; none is queued, and none is sent twice.
 */
export class RedisConnection implements Component, VitalDependency {
  readonly name = 'redis';
  readonly client: Redis;
  /** What waits for replicas holds up all that comes behind it, so it has a connection of its own. */
  readonly #writer: Redis | undefined;
  #isUp = false;
  #isOurs = false;
  #isStrangers = false;
  #lacksReplicas = false;
  #lastFailure: string | undefined;
  #probe: NodeJS.Timeout | undefined;
  static #hasWarned = false;
  readonly #events = new EventEmitter<{ change: [] }>();
  readonly #scripts: Coalescer<ScriptCall, unknown>;
  readonly #acknowledged: Coalescer<ScriptCall, unknown>;
  readonly #config: RedisConfig;
  readonly #logger: Logger;
  readonly #address: string;
  readonly #database: number;

  /**
   * @param database the service's own, unless the configuration names another
   * @param owner the service whose keys are in it: it is refused to any other
   */
  constructor(
    config: RedisConfig,
    database: number,
    logger: Logger,
    private readonly owner?: string,
  ) {
    const { waitReplicas = 0, timeoutMs } = config;
    this.#config = config;
    this.#logger = logger;
    this.#database = config.database ?? database;
    this.#address = `${describeRedis(config)}/${this.#database}`;
    this.client = this.#open();
    // One pipeline costs Redis little, and waiting for another would cost its writers a sync to the disk.
    const options = { name: 'Redis', itemsWorthABatch: 1 };
    this.#scripts = new Coalescer({
      ...options,
      itemsSentAtOnce: MAX_ITEMS_A_RUN,
      send: async (calls) => runScripts(this.client, calls),
    });
    this.#acknowledged = this.#scripts;
    if (waitReplicas > 0) {
      const writer = this.#open();
      const wait = { replicas: waitReplicas, timeoutMs: Math.ceil(timeoutMs / (MAX_WAITING_BATCHES + 1)) };
      this.#writer = writer;
      this.#acknowledged = new Coalescer({
        ...options,
        maxBatchesInFlight: MAX_WAITING_BATCHES,
        send: async (calls) => this.#noteReplicas(await runScripts(writer, calls, wait)),
      });
    }
    redisUp.add({ database: String(this.#database) }, () => Number(this.#isUp));
    this.client.on('ready', () => void this.#begin());
    this.client.on('close', () => (this.#isOurs = false));
    this.#writer?.on('ready', () => void this.#check());
  }

  #open(): Redis {
    const client = new Redis({
      ...redisOptions(this.#config),
      db: this.#database,
      lazyConnect: true,
      enableOfflineQueue: false,
      retryStrategy: (attempt) => (this.#isStrangers ? MAX_RECONNECT_DELAY_MS : reconnectDelayMs(attempt)),
      sentinelRetryStrategy: reconnectDelayMs,
      // Only a replica says so: one that was the primary until now. The command has failed, and is not sent again. Where nobody
      // knows of another one, it stays: what is stored can still be read.
      reconnectOnError: (error) =>
        this.#config.sentinel !== undefined && error.message.startsWith('READONLY'),
    });
    let sentinelFailure = '';
    client.on('sentinelError', (error: Error) => (sentinelFailure = error.message));
    client.on('close', () => this.#set(false));
    // ioredis gives up for good where the Sentinels announce a new primary while it is asking them for it.
    client.on('end', () => setTimeout(() => this.#connect(client), reconnectDelayMs(1)));
    client.on('error', (error: Error) => {
      // How long it waits until it asks them again differs each time.
      const isOfSentinels = error.message.startsWith('All sentinels are unreachable');
      this.#reportFailure(
        isOfSentinels ? `no Sentinel names the primary: ${sentinelFailure}` : error.message,
      );
      leaveWrongDatabase(client, error);
    });
    return client;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  onChange(listener: () => void): void {
    this.#events.on('change', listener);
  }

  /**
   * Runs a script as one atomic step. Those that are run at the same time share a round trip.
   *
   * @throws {ServiceError} `unavailable`, where what it acknowledges has to reach replicas that are not there; by then it is
   *   stored all the same, unless that was known before.
   */
  async run<Reply>(script: Script<Reply>, keys: string[], args: (string | number)[]): Promise<Reply> {
    return script.reply.parse(await this.#run({ script, keys, args }));
  }

  /**
   * Has a batch script handle an item. Those that are handled at the same time share a run.
   *
   * @throws as `run` does
   */
  async handle<Field extends string, Outcome>(
    script: BatchScript<Field, Outcome>,
    item: Record<Field, string>,
  ): Promise<Outcome> {
    const texts = script.fields.map((field) => item[field]);
    return script.outcome.parse(await this.#run({ script, item: texts }));
  }

  async #run(call: ScriptCall): Promise<unknown> {
    const { script } = call;
    if (this.owner !== undefined && !this.#isOurs) throw redisUnavailable();
    if (script.acknowledges && this.#lacksReplicas) throw new TooFewReplicasError();
    const scripts = script.acknowledges ? this.#acknowledged : this.#scripts;
    const run = async () => measure(script.name, async () => scripts.run(call));
    return tracing?.isInSpan ? tracing.trace(this.#spanOf(script), run) : run();
  }

  /** Without keys and arguments: they hold emails and contents. */
  #spanOf(script: ScriptCall['script']): SpanOptions {
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
    for (const client of this.#clients) this.#connect(client);
    // A Redis that hangs keeps its connections open: only an answer proves that it lives.
    this.#probe = setInterval(() => void this.#check(), PROBE_INTERVAL_MS);
  }

  /** A first failure is followed by retries; the `error` handler has logged it. */
  #connect(client: Redis): void {
    client.connect().catch(() => {});
  }

  async stop(): Promise<void> {
    clearInterval(this.#probe);
    for (const client of this.#clients) {
      client.removeAllListeners('close').removeAllListeners('end');
      await client.quit().catch(() => {});
      // Else those to the Sentinels remain.
      if (this.#config.sentinel) client.disconnect();
    }
  }

  get #clients(): Redis[] {
    return this.#writer ? [this.client, this.#writer] : [this.client];
  }

  #reconnect(): void {
    for (const client of this.#clients) if (client.status === 'ready') client.disconnect(true);
  }

  async #begin(): Promise<void> {
    const owner = await this.#findOwner();
    this.#isStrangers = owner !== undefined && owner !== this.owner;
    if (this.#isStrangers) {
      this.#reportFailure(
        `database ${this.#database} belongs to ${owner}, and services must not share one: have REDIS_URL of each name another number behind the /, or another Redis`,
      );
      this.#reconnect();
      return;
    }
    this.#isOurs = true;
    await this.#check();
    await this.#warnOfEviction();
  }

  /** Takes a database that nobody has. Undefined where nobody asks, or Redis does not tell. */
  async #findOwner(): Promise<string | undefined> {
    if (this.owner === undefined) return undefined;
    try {
      return await runScript(this.client, ownScript, [OWNER_KEY], [this.owner]);
    } catch (error) {
      this.#logger.debug({ err: error }, 'Redis does not tell whose the database is');
      return undefined;
    }
  }

  async #check(): Promise<void> {
    if (!this.#isOurs) return;
    const replication = await measure('ping', async () => this.#askForReplication()).catch(() => undefined);
    if (replication !== undefined && isReplica(replication)) {
      this.#reportFailure('it is a replica, which takes no writes: it may have been the primary until now');
      this.#set(false);
      if (this.#config.sentinel) this.#reconnect();
      return;
    }
    if (replication !== undefined) this.#lookForReplicas(replication);
    this.#set(replication !== undefined && this.#clients.every(({ status }) => status === 'ready'));
  }

  /** What Redis says of itself as a primary or a replica; nothing where it does not tell. */
  async #askForReplication(): Promise<string> {
    const [, replication] = await Promise.all([
      this.client.ping(),
      this.client.info('replication').catch(() => ''),
    ]);
    return replication;
  }

  /** Has what would wait in vain refused, until the replicas are there again. */
  #noteReplicas(outcomes: PromiseSettledResult<unknown>[]): PromiseSettledResult<unknown>[] {
    const isShort = outcomes.some(
      (outcome) => outcome.status === 'rejected' && outcome.reason instanceof TooFewReplicasError,
    );
    if (isShort && !this.#lacksReplicas) {
      this.#lacksReplicas = true;
      this.#logger.warn(
        { redis: this.#address, wanted: this.#config.waitReplicas },
        'Redis has fewer replicas than REDIS_WAIT_REPLICAS: what would be written is refused until they follow',
      );
    }
    return outcomes;
  }

  #lookForReplicas(replication: string): void {
    if (!this.#lacksReplicas || !this.#hasReplicas(replication)) return;
    this.#lacksReplicas = false;
    this.#logger.info({ redis: this.#address }, 'the replicas of Redis follow again');
  }

  #hasReplicas(replication: string): boolean {
    const { waitReplicas = 0 } = this.#config;
    const lags = [...replication.matchAll(/^slave\d+:.*\bstate=online\b.*\blag=(\d+)/gm)];
    return lags.filter(([, lag]) => Number(lag) <= MAX_REPLICA_LAG_SECONDS).length >= waitReplicas;
  }

  /** Says once an outage, or whenever it changes, what is wrong: attempts go on several times a second. */
  #reportFailure(reason: string): void {
    const level = reason === this.#lastFailure ? 'debug' : 'warn';
    this.#lastFailure = reason;
    this.#logger[level]({ redis: this.#address, reason }, 'could not connect to Redis; trying again');
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

/**
 * ioredis goes on where a database is refused, in database 0.
 *
 * @NOTE What is asked in the same turn may still be run there, as far as the user's rights go.
 */
function leaveWrongDatabase(client: Redis, error: Error): void {
  const isRefusal = error instanceof ReplyError && 'command' in error;
  const command = isRefusal ? refusedCommand.safeParse(error.command).data : undefined;
  if (command?.name === 'select') client.disconnect(true);
}

function isReplica(replication: string): boolean {
  return /^role:slave\b/m.test(replication);
}

const ownScript = defineScript(
  'ownDatabase',
  z.string(),
  `
  redis.call('SETNX', KEYS[1], ARGV[1])
  return redis.call('GET', KEYS[1])
  `,
);

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
