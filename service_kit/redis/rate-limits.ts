import { createHash } from 'node:crypto';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { ServiceError, toSeconds } from '../errors.js';
import { limitRefusals } from '../metrics.js';
import type { RedisConnection } from './connection.js';

/** What all limits are counted under. */
const PREFIX = 'limit';

/** For how long failures are remembered, from the first on. */
const REMEMBERED_SECONDS = 24 * 60 * 60;

/** Of what whoever calls chose, a key of a bounded length, which says nothing. */
function keyOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** Lets so many through in a time, of each key, counted in Redis for all replicas. */
export class RateLimit {
  readonly #limiter: RateLimiterRedis;

  /**
   * @param name what it is called in Redis and in the metrics
   * @param limit how many, of one key
   * @param what whoever is refused has had too many of, such as "Too many messages"
   */
  constructor(
    redis: RedisConnection,
    private readonly name: string,
    private readonly limit: { count: number; seconds: number },
    private readonly what: string,
  ) {
    this.#limiter = new RateLimiterRedis({
      storeClient: redis.client,
      keyPrefix: `${PREFIX}:${name}`,
      points: limit.count,
      duration: limit.seconds,
    });
  }

  /** Counts one more. @throws {ServiceError} `tooMany` when it is one too many, with when the next is let through. */
  async take(key: string): Promise<void> {
    try {
      await this.#limiter.consume(keyOf(key));
    } catch (thrown) {
      const { count, seconds } = this.limit;
      throw refusal(thrown, this.name, `${this.what}: at most ${count} are accepted in ${seconds} seconds`);
    }
  }
}

/**
 * Has whoever fails again and again wait before each further attempt: 1 second, then 2, then 4, up to a bound. Counted in Redis
 * for all replicas.
 */
export class FailureDelay {
  readonly #failures: RateLimiterRedis;
  readonly #pauses: RateLimiterRedis;

  /**
   * @param name what it is called in Redis and in the metrics
   * @param free how many failures of one key have no consequence
   * @param maxSeconds the longest wait
   */
  constructor(
    redis: RedisConnection,
    private readonly name: string,
    private readonly free: number,
    private readonly maxSeconds: number,
  ) {
    const storeClient = redis.client;
    this.#failures = new RateLimiterRedis({
      storeClient,
      keyPrefix: `${PREFIX}:${name}`,
      points: free,
      duration: REMEMBERED_SECONDS,
    });
    this.#pauses = new RateLimiterRedis({
      storeClient,
      keyPrefix: `${PREFIX}:${name}:pause`,
      points: 1,
      duration: maxSeconds,
    });
  }

  /**
   * Begins an attempt. It counts as a failure, so that those that are made at the same time are counted as well, until it is
   * known not to be one: see {@link withdraw} and {@link forget}.
   *
   * @throws {ServiceError} `tooMany` when it comes too soon after the last, with when the next may come.
   */
  async begin(key: string): Promise<void> {
    const { consumedPoints: count } = await this.#failures.penalty(keyOf(key));
    if (count <= this.free) return;
    const customDuration = Math.min(2 ** (count - this.free - 1), this.maxSeconds);
    try {
      await this.#pauses.consume(keyOf(key), 1, { customDuration });
    } catch (thrown) {
      // It was none: whoever is impatient does not wait longer for it.
      await this.withdraw(key);
      throw refusal(thrown, this.name, 'Too many attempts have failed');
    }
  }

  /** Has an attempt not counted. */
  async withdraw(key: string): Promise<void> {
    const { consumedPoints } = await this.#failures.reward(keyOf(key));
    // All were forgotten meanwhile, and this one with them: it is no credit for later ones.
    if (consumedPoints < 0) await this.#failures.penalty(keyOf(key));
  }

  /** Has all failures forgotten. */
  async forget(key: string): Promise<void> {
    await Promise.all([this.#failures.delete(keyOf(key)), this.#pauses.delete(keyOf(key))]);
  }
}

/** What is thrown where rate-limiter-flexible has thrown something: its result, for one that is refused. */
function refusal(thrown: unknown, limit: string, what: string): unknown {
  if (!(thrown instanceof RateLimiterRes)) return thrown;
  limitRefusals.inc({ limit });
  const retryAfterMs = thrown.msBeforeNext;
  return new ServiceError('tooMany', `${what}; try again in ${toSeconds(retryAfterMs)} s`, { retryAfterMs });
}
