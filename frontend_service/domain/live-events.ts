import { setTimeout as sleep } from 'node:timers/promises';
import { isTransient, ServiceError } from '@messaging/service_kit/errors';
import type { Logger } from '@messaging/service_kit/log';
import type { FeedGateway } from '../clients/feed-gateway.js';
import type { NotificationGateway } from '../clients/notification-gateway.js';
import type { Notification } from './notification.js';
import type { Session, Sessions } from './sessions.js';

/** How often a stream looks whether its session goes on. */
const SESSION_CHECK_MS = 1_000;
const RETRY_MS = { first: 100, next: 1_000 };
/** Whoever missed more is better off to read the lists anew. */
const MAX_MISSED = 1_000;

/** What a user's browser is told. */
export type LiveEvent =
  /** All up to the notification with this id has been told: what comes follows at once. */
  | { type: 'live'; id: string }
  /** The position asked for is of no use: the lists are to be read anew. What follows comes after this id. */
  | { type: 'reset'; id: string }
  /** What comes is told later: `live` follows once it is told at once again. */
  | { type: 'interrupted' }
  | { type: 'notification'; notification: Notification };

/** What happens to users, told as it happens. */
export class LiveEvents {
  #streams = 0;
  readonly #streamsByUser = new Map<string, number>();

  constructor(
    private readonly feed: FeedGateway,
    private readonly notifications: NotificationGateway,
    private readonly sessions: Sessions,
    private readonly limits: { maxWatches: number; maxWatchesPerUser: number },
    private readonly logger: Logger,
  ) {}

  /**
   * Follows what happens to a user: first what came after the notification with the id `lastId`, where that is given, until
   * `signal` is aborted or the session ends. A feed that is lost is taken up again where it was.
   *
   * @param lastId as the caller gave it: what is no id is of no use, and never an error
   * @throws {ServiceError} `tooMany` when this user, or all together, follow too much.
   */
  follow(session: Session, lastId: string | undefined, signal: AbortSignal): AsyncIterable<LiveEvent> {
    signal.throwIfAborted();
    const { email } = session.user;
    const streamsOfUser = this.#streamsByUser.get(email) ?? 0;
    if (this.#streams >= this.limits.maxWatches) {
      throw new ServiceError('tooMany', 'Too many follow their events here; try again shortly');
    }
    if (streamsOfUser >= this.limits.maxWatchesPerUser) {
      throw new ServiceError('tooMany', 'You follow your events often enough; close another window');
    }
    this.#streams++;
    this.#streamsByUser.set(email, streamsOfUser + 1);
    const over = new AbortController();
    const check = setInterval(() => this.sessions.hasEnded(session) && over.abort(), SESSION_CHECK_MS);
    signal.addEventListener('abort', () => over.abort(), { once: true });
    over.signal.addEventListener('abort', () => {
      clearInterval(check);
      this.#leave(email);
    });
    return this.#follow(email, lastId, over.signal);
  }

  async *#follow(
    email: string,
    lastId: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<LiveEvent, void> {
    let position = lastId === undefined ? undefined : Number(lastId);
    let failures = 0;
    while (!signal.aborted) {
      try {
        const newest = await this.notifications.findLastId(email);
        if (position === undefined) position = newest;
        else if (!isWithinReach(position, newest)) {
          position = newest;
          yield { type: 'reset', id: String(position) };
        }
        const watch = await this.feed.watch(email, position, signal);
        failures = 0;
        yield { type: 'live', id: String(position) };
        for await (const notification of watch) {
          if (notification.id !== undefined) position = Number(notification.id);
          yield { type: 'notification', notification };
        }
      } catch (error) {
        if (signal.aborted || isGone(error)) return;
        if (!isTransient(error)) throw error;
        this.logger.debug({ err: error }, 'a feed was lost; taking it up again');
      }
      failures++;
      // Another replica may take over so soon that nobody need know.
      if (failures === 2) yield { type: 'interrupted' };
      await sleep(failures === 1 ? RETRY_MS.first : RETRY_MS.next, undefined, { signal }).catch(() => {});
    }
  }

  #leave(email: string): void {
    const left = (this.#streamsByUser.get(email) ?? 1) - 1;
    this.#streams--;
    if (left === 0) this.#streamsByUser.delete(email);
    else this.#streamsByUser.set(email, left);
  }
}

/** Whether the account has left its address: the session ends, too. */
function isGone(error: unknown): boolean {
  return error instanceof ServiceError && error.kind === 'unauthenticated';
}

function isWithinReach(position: number, newest: number): boolean {
  return Number.isInteger(position) && position >= 0 && position <= newest && newest - position <= MAX_MISSED;
}
