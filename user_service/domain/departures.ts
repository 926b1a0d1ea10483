import { isTransient } from '@messaging/service_kit/errors';
import type { RequestContext } from '@messaging/service_kit/request';
import type { MessageGateway } from '../clients/message-gateway.js';
import type { NotificationGateway } from '../clients/notification-gateway.js';
import type { UserStore } from '../store/user-store.js';
import type { Departure } from './departure.js';

/** Has what an account left at an address follow it, or go. */
export class Departures {
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(
    private readonly store: UserStore,
    private readonly messages: MessageGateway,
    private readonly notifications: NotificationGateway,
  ) {}

  /**
   * Carries out a departure, after all earlier ones that concern one of its addresses. A repeat, by whichever process, goes on
   * where it stopped.
   *
   * @throws {ServiceError} where that can't be done now, transient ones before others.
   */
  async carryOut(departure: Departure, context: RequestContext): Promise<void> {
    const { id } = departure;
    const underWay =
      this.#underWay.get(id) ?? this.#carryOut(departure, context).finally(() => this.#underWay.delete(id));
    this.#underWay.set(id, underWay);
    return underWay;
  }

  async #carryOut(departure: Departure, context: RequestContext): Promise<void> {
    for (const earlier of await this.store.findEarlierDepartures(departure)) {
      await this.carryOut(earlier, context);
    }
    // One that is away does not hold up the other.
    const outcomes = await Promise.allSettled([
      this.messages.clear(departure, context),
      this.notifications.clear(departure, context),
    ]);
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    if (failures.length > 0) throw failures.find(isTransient) ?? failures[0];
    await this.store.finishDeparture(departure);
  }
}
