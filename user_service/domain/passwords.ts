import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@messaging/service_kit/errors';
import { queuedItems } from '@messaging/service_kit/metrics';
import bcrypt from 'bcrypt';
import pLimit, { type LimitFunction } from 'p-limit';

/** bcrypt ignores whatever follows the 72nd byte. */
export const MAX_PASSWORD_BYTES = 72;

/** How long a thread rests after each password, as a share of what that took: log-ins without pause leave others room. */
const REST_SHARE = 0.15;

const segmenter = new Intl.Segmenter();

/** Hashes and checks passwords off the event loop, a bounded number at a time. */
export class Passwords {
  readonly #limit: LimitFunction;
  readonly #cost: number;
  readonly #queueLength: number;
  readonly #minLength: number;
  #decoy: Promise<string> | undefined;

  constructor(options: { cost: number; concurrency: number; queueLength: number; minLength: number }) {
    this.#cost = options.cost;
    this.#limit = pLimit(options.concurrency);
    this.#queueLength = options.queueLength;
    this.#minLength = options.minLength;
    queuedItems.add({ target: 'bcrypt' }, () => this.#limit.pendingCount);
  }

  /** @throws {ServiceError} `invalid` for a new password that is too short. */
  checkLength(password: string): void {
    // What a person takes for a character.
    if ([...segmenter.segment(password)].length >= this.#minLength) return;
    throw new ServiceError('invalid', `password must be at least ${this.#minLength} characters`);
  }

  /** @throws {ServiceError} `tooMany` when too many already wait. */
  async hash(password: string): Promise<string> {
    return this.#enqueue(() => bcrypt.hash(password, this.#cost));
  }

  /**
   * Tells whether `hash` is the password's. Takes as long without a hash as with one, so that the time it takes
   * does not tell who has an account.
   *
   * @throws {ServiceError} `tooMany` when too many already wait.
   */
  async matches(password: string, hash: string | undefined): Promise<boolean> {
    const isMatch = await this.#enqueue(async () =>
      bcrypt.compare(password, hash ?? (await this.#decoyHash())),
    );
    return isMatch && hash !== undefined && Buffer.byteLength(password) <= MAX_PASSWORD_BYTES;
  }

  /** Tells whether a hash took less work than one would take today. */
  isOutdated(hash: string): boolean {
    return bcrypt.getRounds(hash) < this.#cost;
  }

  /** Prepares what `matches` needs, in the background, so that not even the first unknown user takes longer. */
  start(): void {
    void this.#decoyHash();
  }

  /** Has nothing to stop. */
  stop(): void {}

  #decoyHash(): Promise<string> {
    this.#decoy ??= bcrypt.hash('nobody has this password', this.#cost);
    return this.#decoy;
  }

  async #enqueue<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#limit.pendingCount >= this.#queueLength) {
      throw new ServiceError('tooMany', 'Too many passwords are being checked at once; try again shortly');
    }
    return new Promise((resolve, reject) => {
      void this.#limit(async () => {
        const startedAt = performance.now();
        await work().then(resolve, reject);
        await sleep(REST_SHARE * (performance.now() - startedAt));
      });
    });
  }
}
