import { randomUUID } from 'node:crypto';
import { ServiceError } from '@messaging/service_kit/errors';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { limitRefusals } from '@messaging/service_kit/metrics';
import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { defineScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';

/** Sorted set of a user's watches, by when their leases end. */
const keyOf = (email: string) => `watch_leases:${email}`;

/** What a replica that dies has taken is free again after this time. */
const LEASE_MS = 10_000;
const RENEW_EVERY_MS = 3_000;

/**
 * Bounds how many watches one user has at all replicas together. Each takes a lease, which ends by itself where nobody renews
 * it. While Redis is away nobody is refused.
 */
export class WatchLeases implements Component {
  readonly #emails = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly redis: RedisConnection,
    private readonly maxPerUser: number,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.#timer = setInterval(() => this.#renew(), RENEW_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Takes a lease for one more watch of a user.
   *
   * @returns what gives it back
   * @throws {ServiceError} `tooMany` when the user has too many.
   */
  async take(email: string): Promise<() => void> {
    const id = randomUUID();
    if (!(await this.#isFree(email, id))) {
      limitRefusals.inc({ limit: 'watch' });
      throw new ServiceError(
        'tooMany',
        `${email} has ${this.maxPerUser} watches, which is the most; end another`,
        { retryAfterMs: LEASE_MS },
      );
    }
    this.#emails.set(id, email);
    return () => {
      this.#emails.delete(id);
      this.#report(this.redis.run(releaseScript, [keyOf(email)], [id]));
    };
  }

  async #isFree(email: string, id: string): Promise<boolean> {
    try {
      const taken = await this.redis.run(takeScript, [keyOf(email)], [id, LEASE_MS, this.maxPerUser]);
      return taken === 1;
    } catch (error) {
      this.logger.debug({ err: error }, 'a watch could not be counted');
      return true;
    }
  }

  #renew(): void {
    for (const [id, email] of this.#emails) {
      this.#report(this.redis.run(takeScript, [keyOf(email)], [id, LEASE_MS, Number.MAX_SAFE_INTEGER]));
    }
  }

  #report(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.logger.debug({ err: error }, 'a watch could not be counted'));
  }
}

const takeScript = defineScript(
  'takeWatchLease',
  z.number(),
  `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local id, lease, max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  if redis.call('ZCARD', KEYS[1]) >= max then return 0 end
  redis.call('ZADD', KEYS[1], now + lease, id)
  redis.call('PEXPIRE', KEYS[1], lease)
  return 1
  `,
  { acknowledges: false },
);

const releaseScript = defineScript(
  'releaseWatchLease',
  z.number(),
  `return redis.call('ZREM', KEYS[1], ARGV[1])`,
  { acknowledges: false },
);
