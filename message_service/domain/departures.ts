import type { Logger } from '@messaging/service_kit/log';
import type { DepartureStore, FoundMessage } from '../store/departure-store.js';
import type { Departure, Move } from './departure.js';

/** How long one call works: its caller asks again, and may give up meanwhile. */
const WORK_MS = 1_000;

/** Has what a user leaves at an address follow to another, or go. */
export class Departures {
  constructor(
    private readonly store: DepartureStore,
    private readonly logger: Logger,
  ) {}

  /**
   * Moves a mailbox to another address, some messages at a time: each step leaves all as it is to be, so that a repeat goes on
   * where this one stopped.
   *
   * @returns whether it is done
   */
  async moveMailbox(move: Move): Promise<boolean> {
    return this.#clear(move, async (tenure) => {
      // What even earlier tenures left is nobody's.
      if (tenure !== move.tenure) return this.#erase(move, tenure);
      const thread = await this.store.readThread(move);
      if (!thread) return (await this.store.moveRest(move)) === 0;
      this.#reportUnreadable(thread.messages);
      await this.store.moveMessages(move, thread);
      return false;
    });
  }

  /** Erases a mailbox in the same way. What the other parties have, they keep. @returns whether it is done */
  async eraseMailbox(departure: Departure): Promise<boolean> {
    return this.#clear(departure, async (tenure) => this.#erase(departure, tenure));
  }

  /** @param work does a step, and resolves to whether it was the last */
  async #clear(left: Departure | Move, work: (tenure: string) => Promise<boolean>): Promise<boolean> {
    const giveUpAt = Date.now() + WORK_MS;
    for (const tenure of await this.store.leave(left)) {
      while (!(await work(tenure))) if (Date.now() >= giveUpAt) return false;
      await this.store.forget(left.email, tenure);
    }
    return true;
  }

  async #erase({ email }: Departure, tenure: string): Promise<boolean> {
    const messages = await this.store.readMailbox(email, tenure);
    this.#reportUnreadable(messages);
    if (messages.length > 0) await this.store.eraseMessages(email, tenure, messages);
    return messages.length === 0 && (await this.store.eraseRequests(email, tenure)) === 0;
  }

  /** They are passed on as they are, or taken out of the mailbox: nothing waits for them. */
  #reportUnreadable(messages: FoundMessage[]): void {
    for (const { id, text, record } of messages) {
      if (text !== '' && !record) this.logger.error({ messageId: id }, 'a message can not be read');
    }
  }
}
