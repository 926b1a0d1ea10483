import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@messaging/service_kit/errors';
import type { Logger } from '@messaging/service_kit/log';
import type { Page } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import { tracing } from '@messaging/service_kit/tracing';
import type { NotificationGateway } from '../clients/notification-gateway.js';
import type { Fanout } from '../fanout/fanout.js';
import type { WatchLeases } from '../fanout/watch-leases.js';
import type { Notification } from './notification.js';

/** How many notifications without an id may wait for a watcher: there is no way to read them again. */
const MAX_WAITING = 100;
const RETRY_MS = 1_000;

type UserEvent = `user:${string}`;
const eventOf = (email: string): UserEvent => `user:${email}`;

/** What wakes a watch: a notification, that some may have been missed, or that it is over. */
type Arrival = Notification | 'missed' | 'over';

/** Shows notifications to their receivers. */
export class Feed {
  /** What wakes the watches of one user. */
  readonly #arrivals = new EventEmitter<Record<UserEvent, [Arrival]>>();
  #watches = 0;

  constructor(
    private readonly logger: Logger,
    private readonly notifications: NotificationGateway,
    private readonly fanout: Fanout,
    private readonly limits: { maxWatches: number; maxWatchesPerUser: number },
    private readonly leases: WatchLeases | undefined,
  ) {
    this.#arrivals.setMaxListeners(0);
    fanout.events.on('notification', (notification) => this.#arrive(notification));
    fanout.events.on('interrupted', (email) => this.#arrivals.emit(eventOf(email), 'missed'));
    fanout.events.on('ended', (email) => this.#arrivals.emit(eventOf(email), 'over'));
  }

  /** Shows a notification: a line in the log, where whoever runs the suite sees it arrive, and to all who watch. */
  show(notification: Notification, { requestId }: RequestContext): void {
    const { sender_email, receiver_email, id } = notification;
    this.logger.info({ from: sender_email, to: receiver_email, id, requestId }, 'notification');
    const traceparent = tracing?.traceparent;
    const shown = traceparent === undefined ? notification : { ...notification, traceparent };
    this.#arrive(shown);
    this.fanout.publish(shown);
  }

  /** Ends all watches of an address, at every replica. @throws {ServiceError} `unavailable` when the others can't be told. */
  async endWatches(email: string): Promise<void> {
    this.#arrivals.emit(eventOf(email), 'over');
    await this.fanout.publishEnd(email);
  }

  /**
   * Begins to watch a user's notifications. Resolves once it is settled where: after `afterId`, or, where none is given,
   * after what is the last one now. The watch then gives them as they come, each once, in the order of their ids, until
   * `signal` is aborted.
   *
   * What arrives only says that there is something to give: where it is not the next by its id, what is missing is read
   * from NotificationService, and while that is away, read again until it is back. So a watch holds nothing
   * but its position, however slow whoever reads it.
   *
   * @throws {ServiceError} `tooMany` when this user, or all together, have too many watches; later `unauthenticated`, when
   *   whoever had the address has left.
   */
  async watch(
    email: string,
    afterId: number | undefined,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Notification>> {
    if (this.#watches >= this.limits.maxWatches) {
      throw new ServiceError('tooMany', 'Too many watch their notifications here; try again shortly');
    }
    if (this.#arrivals.listenerCount(eventOf(email)) >= this.limits.maxWatchesPerUser) {
      throw new ServiceError('tooMany', `${email} watches its notifications often enough; end another watch`);
    }
    const giveBack = await this.leases?.take(email);
    if (giveBack && signal.aborted) giveBack();
    signal.throwIfAborted();
    if (giveBack) signal.addEventListener('abort', giveBack, { once: true });
    const lastId = afterId ?? (await this.#retry(() => this.notifications.findLastId(email), signal));
    return this.#follow(email, new Watch(lastId), signal);
  }

  async *#follow(email: string, watch: Watch, signal: AbortSignal): AsyncGenerator<Notification, void> {
    const listener = (arrived: Arrival) => watch.arrive(arrived);
    this.#watches++;
    this.#arrivals.on(eventOf(email), listener);
    const unwatch = this.fanout.watch(email);
    try {
      while (!signal.aborted) {
        if (watch.isOver) throw new ServiceError('unauthenticated', 'Whoever had this address has left it');
        yield* watch.takeArrived();
        if (watch.isBehind && !watch.isWaiting) yield* this.#catchUp(email, watch);
        else if (watch.isEmpty) await watch.somethingArrives(signal);
      }
    } finally {
      watch.end();
      this.#watches--;
      this.#arrivals.off(eventOf(email), listener);
      unwatch();
    }
  }

  async *#catchUp(email: string, watch: Watch): AsyncGenerator<Notification, void> {
    watch.isBehind = false;
    const afterId = watch.lastId;
    let missed: Page<Notification> = { items: [], nextPageToken: '' };
    do {
      try {
        missed = await this.notifications.listAfter(email, afterId, missed.nextPageToken);
      } catch (error) {
        this.logger.debug({ err: error }, 'a watch could not be brought up to date; trying again');
        // Meanwhile what arrives in order is given.
        watch.waitToCatchUp();
        return;
      }
      for (const notification of missed.items) {
        watch.lastId = Number(notification.id);
        yield notification;
      }
    } while (missed.nextPageToken !== '');
  }

  /** Asks again until NotificationService answers. @throws once `signal` is aborted. */
  async #retry<Result>(ask: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await ask();
      } catch (error) {
        this.logger.debug({ err: error }, 'a watch could not begin; trying again');
        await sleep(RETRY_MS, undefined, { signal });
      }
    }
  }

  #arrive(notification: Notification): void {
    this.#arrivals.emit(eventOf(notification.receiver_email), notification);
  }
}

/** Where one watch stands. */
class Watch {
  /** Whether there is something to read from NotificationService: at the beginning there may be. */
  isBehind = true;
  /** Whether it is too early to try that again. */
  isWaiting = false;
  /** Whether whoever had the address has left. */
  isOver = false;
  #timer: NodeJS.Timeout | undefined;
  #arrived: Notification[] = [];
  readonly #events = new EventEmitter<{ arrival: [] }>();

  /** @param lastId the id of the last notification that it gave */
  constructor(public lastId: number) {}

  get isEmpty(): boolean {
    return this.#arrived.length === 0;
  }

  arrive(arrived: Arrival): void {
    if (arrived === 'over') this.isOver = true;
    else if (arrived !== 'missed' && this.#arrived.length < MAX_WAITING) this.#arrived.push(arrived);
    else this.isBehind = true;
    this.#events.emit('arrival');
  }

  /** Gives what is next in what arrived. */
  *takeArrived(): Generator<Notification, void> {
    for (;;) {
      const notification = this.#arrived.shift();
      if (notification === undefined) return;
      const id = notification.id === undefined ? undefined : Number(notification.id);
      if (id === undefined) yield notification;
      else if (id === this.lastId + 1) {
        this.lastId = id;
        yield notification;
      } else if (id > this.lastId) this.isBehind = true;
    }
  }

  /** Takes note that what is missing could not be read: it is to be tried again later. */
  waitToCatchUp(): void {
    this.isBehind = true;
    this.isWaiting = true;
    this.#timer = setTimeout(() => {
      this.isWaiting = false;
      this.#events.emit('arrival');
    }, RETRY_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** Resolves once something arrives, or it is time to catch up. @throws once `signal` is aborted. */
  async somethingArrives(signal: AbortSignal): Promise<void> {
    await once(this.#events, 'arrival', { signal });
  }
}
