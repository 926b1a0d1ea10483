import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { ServiceError } from '../errors.js';
import type { Component } from '../lifecycle.js';
import type { Logger } from '../log.js';
import type { RestPeer } from '../rest/peer.js';
import { publicKeySet } from './tokens.js';

/** Says which tokens are good: their keys, and the sessions that they belong to. */
export interface TokenAuthority {
  readonly findKey: JWTVerifyGetKey;
  /**
   * @throws {ServiceError} `unauthenticated` when the session has ended; `unavailable` when it can't be known.
   */
  checkSession(sessionId: string): Promise<void>;
}

/** Where the authority tells of its keys, and of the sessions that have ended. */
export const KEYS_PATH = '/.well-known/jwks.json';
export const ENDED_SESSIONS_PATH = '/ended_sessions';

/** What it tells of the latter. */
export const endedSessions = z.object({
  sessions: z.array(
    z.object({
      session_id: z.string(),
      /** When the last token of it ends by itself, in milliseconds since the epoch. */
      forget_at: z.number(),
    }),
  ),
  /** Asks for those that ended later. */
  next_after: z.string(),
  has_more: z.boolean(),
});

const POLL_INTERVAL_MS = 1_000;
const POLL_TIMEOUT_MS = 2_000;
/** A session that has ended is refused after this time at the latest: what is known is not relied on for longer. */
const TRUSTED_FOR_MS = 5_000;

/** The authority, asked from another process, again and again: what it says is at hand when a call comes. */
export class RemoteAuthority implements TokenAuthority, Component {
  readonly #stopping = new AbortController();
  readonly #ended = new Map<string, number>();
  #after = '';
  #keys = createLocalJWKSet({ keys: [] });
  #keysRead = '';
  #knownAt = 0;
  #learning: Promise<void> | undefined;
  #lastFailure: string | undefined;

  constructor(
    private readonly peer: RestPeer,
    private readonly logger: Logger,
  ) {}

  readonly findKey: JWTVerifyGetKey = async (header, token) => {
    await this.#requireKnown();
    return this.#keys(header, token);
  };

  async checkSession(sessionId: string): Promise<void> {
    await this.#requireKnown();
    if (this.hasEnded(sessionId)) throw sessionEnded();
  }

  /** Whether a session is known to have ended; of what can't be known, nothing is said. */
  hasEnded(sessionId: string): boolean {
    return this.#ended.has(sessionId);
  }

  start(): void {
    void this.#poll();
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Asks at once where what is known is too old: at first it is nothing. */
  async #requireKnown(): Promise<void> {
    if (Date.now() - this.#knownAt <= TRUSTED_FOR_MS) return;
    try {
      await this.#learn();
    } catch (cause) {
      throw new ServiceError(
        'unavailable',
        'Who you are can not be checked at the moment; try again shortly',
        { cause },
      );
    }
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#learn().then(
        () => (this.#lastFailure = undefined),
        (error: unknown) => this.#report(error),
      );
      await sleep(POLL_INTERVAL_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Those who want to know at the same time share one answer. */
  async #learn(): Promise<void> {
    this.#learning ??= this.#ask().finally(() => (this.#learning = undefined));
    return this.#learning;
  }

  async #ask(): Promise<void> {
    const askedAt = Date.now();
    const ask = <Reply extends z.ZodType>(path: string, reply: Reply) =>
      this.peer.relay({ deadline: askedAt + POLL_TIMEOUT_MS }, { method: 'GET', path, reply });
    const { keys } = await ask(KEYS_PATH, publicKeySet);
    let hasMore = true;
    while (hasMore) {
      const told = await ask(
        `${ENDED_SESSIONS_PATH}?after=${encodeURIComponent(this.#after)}`,
        endedSessions,
      );
      for (const { session_id, forget_at } of told.sessions) this.#ended.set(session_id, forget_at);
      this.#after = told.next_after;
      hasMore = told.has_more;
    }
    for (const [sessionId, forgetAt] of this.#ended) if (forgetAt < askedAt) this.#ended.delete(sessionId);
    const keysRead = JSON.stringify(keys);
    // A key is made ready for use once, with the first token that it signed.
    if (keysRead !== this.#keysRead) this.#keys = createLocalJWKSet({ keys });
    this.#keysRead = keysRead;
    this.#knownAt = askedAt;
  }

  /** Says once an outage, or whenever it changes, what is wrong. */
  #report(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const level = reason === this.#lastFailure ? 'debug' : 'warn';
    this.#lastFailure = reason;
    this.logger[level]({ reason }, 'UserService does not say which tokens are good; trying again');
  }
}

export function sessionEnded(): ServiceError {
  return new ServiceError('unauthenticated', 'The session has ended: log in again');
}
