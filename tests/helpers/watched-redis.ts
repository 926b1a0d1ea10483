import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { ensureRedisServer } from '../../scripts/dist/redis-server.js';
import { findFreePorts } from './free-ports.js';
import { killAtExit } from './kill-at-exit.js';
import { SuiteRedis } from './suite.js';
import { waitFor } from './wait-for.js';

const HOST = '127.0.0.1';
const MASTER_NAME = 'messages';
const PASSWORD = 'redis-secret';
const SENTINEL_PASSWORD = 'sentinel-secret';

/** A primary and its replica, each of which may become the other, and the three Sentinels that watch over them. */
export class WatchedRedis {
  readonly #servers: SuiteRedis[];
  readonly #sentinels: ChildProcess[] = [];

  private constructor(
    private readonly folder: string,
    serverPorts: number[],
    private readonly sentinelPorts: number[],
  ) {
    this.#servers = serverPorts.map(
      (port) =>
        new SuiteRedis(port, join(folder, String(port)), {
          requirepass: PASSWORD,
          masterauth: PASSWORD,
          'repl-diskless-sync-delay': '0',
        }),
    );
  }

  /** Starts them, and waits until all know of each other. */
  static async start(): Promise<WatchedRedis> {
    const [first = 0, second = 0, ...sentinelPorts] = await findFreePorts(5);
    const folder = await mkdtemp(join(tmpdir(), 'watched-redis-'));
    const watched = new WatchedRedis(folder, [first, second], sentinelPorts);
    try {
      for (const server of watched.#servers) await server.start();
      await watched.ask(second, (redis) => redis.replicaof(HOST, first));
      for (const port of sentinelPorts) await watched.#startSentinel(port, first);
      await waitFor(async () => (await watched.#countKnown()).every((count) => count === 3), {
        what: 'the Sentinels know the replica and each other',
        timeoutMs: 20_000,
      });
    } catch (error) {
      await watched.stop();
      throw error;
    }
    return watched;
  }

  /** What a process has to be told. */
  get environment(): Record<string, string> {
    return {
      REDIS_HOST: '',
      REDIS_PORT: '',
      REDIS_SENTINELS: this.sentinelPorts.map((port) => `${HOST}:${port}`).join(','),
      REDIS_MASTER_NAME: MASTER_NAME,
      REDIS_SENTINEL_PASSWORD: SENTINEL_PASSWORD,
      REDIS_PASSWORD: PASSWORD,
    };
  }

  /** How tests reach a server themselves. */
  addressOf({ port }: SuiteRedis): { host: string; port: number; password: string } {
    return { host: HOST, port, password: PASSWORD };
  }

  /** The one that the Sentinels call the primary. */
  async findPrimary(): Promise<SuiteRedis> {
    const [, port] = address.parse(await this.#askSentinel('get-master-addr-by-name'));
    const primary = this.#servers.find((server) => String(server.port) === port);
    if (!primary) throw new Error(`There is no Redis at ${port}`);
    return primary;
  }

  /** The other one. */
  other(server: SuiteRedis): SuiteRedis {
    const [other] = this.#servers.filter((one) => one !== server);
    if (!other) throw new Error('There is no other Redis');
    return other;
  }

  /** Starts one that was killed, and has it follow the other at once: Sentinel would after ten seconds. */
  async restartAsReplica(server: SuiteRedis): Promise<void> {
    await server.start();
    await this.ask(server.port, async (redis) => redis.replicaof(HOST, this.other(server).port));
    await this.waitUntilReplica(server);
  }

  /** Waits until a server follows the other, with all that it has. */
  async waitUntilReplica(server: SuiteRedis): Promise<void> {
    await waitFor(
      async () =>
        /role:slave[^]*master_link_status:up/.test(
          await this.ask(server.port, (redis) => redis.info('replication')),
        ),
      { what: `the Redis at ${server.port} is a replica`, timeoutMs: 30_000 },
    );
  }

  async ask<Answer>(port: number, question: (redis: Redis) => Promise<Answer>): Promise<Answer> {
    return askRedis({ port, password: PASSWORD }, question);
  }

  async stop(): Promise<void> {
    for (const sentinel of this.#sentinels) {
      if (sentinel.exitCode !== null) continue;
      sentinel.kill('SIGTERM');
      await once(sentinel, 'close');
    }
    for (const server of this.#servers) await server.stop();
    await rm(this.folder, { recursive: true });
  }

  async #startSentinel(port: number, primaryPort: number): Promise<void> {
    const folder = join(this.folder, String(port));
    await mkdir(folder);
    const file = join(folder, 'sentinel.conf');
    await writeFile(
      file,
      [
        `port ${port}`,
        `bind ${HOST}`,
        `dir ${folder}`,
        `requirepass "${SENTINEL_PASSWORD}"`,
        `sentinel monitor ${MASTER_NAME} ${HOST} ${primaryPort} 2`,
        `sentinel auth-pass ${MASTER_NAME} "${PASSWORD}"`,
        `sentinel down-after-milliseconds ${MASTER_NAME} 1000`,
        `sentinel failover-timeout ${MASTER_NAME} 3000`,
        '',
      ].join('\n'),
    );
    const sentinel = spawn(await ensureRedisServer(), [file, '--sentinel'], { stdio: 'ignore' });
    killAtExit(() => sentinel.kill('SIGKILL'));
    this.#sentinels.push(sentinel);
  }

  /** How many each Sentinel knows: the replica, and the other two. */
  async #countKnown(): Promise<number[]> {
    return Promise.all(
      this.sentinelPorts.map(async (port) => {
        const [replicas, sentinels] = [
          await this.#askSentinel('replicas', port),
          await this.#askSentinel('sentinels', port),
        ];
        return list.parse(replicas).length + list.parse(sentinels).length;
      }),
    );
  }

  async #askSentinel(question: string, port = this.sentinelPorts[0] ?? 0): Promise<unknown> {
    return askRedis({ port, password: SENTINEL_PASSWORD }, async (redis) =>
      redis.call('SENTINEL', question, MASTER_NAME),
    );
  }
}

const address = z.tuple([z.string(), z.string()]);
const list = z.array(z.unknown());

async function askRedis<Answer>(
  where: { port: number; password: string },
  question: (redis: Redis) => Promise<Answer>,
): Promise<Answer> {
  const redis = new Redis({ host: HOST, ...where, retryStrategy: () => null, lazyConnect: true });
  redis.on('error', () => {});
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}
