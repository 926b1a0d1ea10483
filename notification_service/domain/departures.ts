import type { Outbox } from '@messaging/service_kit/redis/outbox';
import type { RequestContext } from '@messaging/service_kit/request';
import type { DepartureStore } from '../store/departure-store.js';
import type { Departure, Move } from './departure.js';
import type { PendingPush } from './notification.js';

/** How long one call works: its caller asks again, and may give up meanwhile. */
const WORK_MS = 1_000;

/** Has what a user leaves at an address follow to another, or go. */
export class Departures {
  constructor(
    private readonly store: DepartureStore,
    private readonly outbox: Outbox<PendingPush>,
  ) {}

  /**
   * Moves notifications and subscription to another address, some at a time: each step leaves all as it is to be, so that a
   * repeat goes on where this one stopped. The watches of the old address end.
   *
   * @returns whether it is done
   */
  async moveNotifications(move: Move, context: RequestContext): Promise<boolean> {
    const giveUpAt = Date.now() + WORK_MS;
    for (const tenure of await this.#leave(move, context)) {
      // What even earlier tenures left is nobody's.
      while (tenure === move.tenure && (await this.store.moveNotifications(move)) > 0) {
        if (Date.now() >= giveUpAt) return false;
      }
      await this.store.forget(move.email, tenure);
    }
    return true;
  }

  /** Erases notifications and subscription. The watches of the address end. */
  async eraseNotifications(departure: Departure, context: RequestContext): Promise<void> {
    for (const tenure of await this.#leave(departure, context)) {
      await this.store.forget(departure.email, tenure);
    }
  }

  async #leave(left: Departure | Move, { requestId }: RequestContext): Promise<string[]> {
    const { tenures, entryId } = await this.store.leave(left);
    if (entryId !== '') this.outbox.deliverSoon(entryId, { ends_watches_of: left.email }, requestId);
    return tenures;
  }
}
