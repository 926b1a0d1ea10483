import { ServiceError } from '@messaging/service_kit/errors';
import type { Page } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import type { MessageGateway } from '../clients/message-gateway.js';
import type { NotificationGateway } from '../clients/notification-gateway.js';
import type { UserStore } from '../store/user-store.js';

/** Each holds a page of each list in memory. */
const MAX_CONCURRENT_EXPORTS = 8;

/** Reads a page of a list; an empty token asks for the first. */
type ReadPage = (token: string) => Promise<Page<unknown>>;

/** Gives users all that the suite has of them. */
export class Exports {
  #underWay = 0;

  constructor(
    private readonly store: UserStore,
    private readonly messages: MessageGateway,
    private readonly notifications: NotificationGateway,
  ) {}

  /**
   * Gives all that the suite has of a user as the pieces of one JSON object. The first page of everything is read before the
   * first piece is given: who can't be asked is found out then.
   *
   * @param signal aborted when nobody takes the pieces any more
   * @throws {ServiceError} `notFound`; `unavailable` while something at this address is still to follow somebody, or to go;
   *   `tooMany` when too many exports are under way; later where the rest can't be had, or is no longer this user's.
   */
  async exportUser(
    email: string,
    { requestId }: RequestContext,
    signal: AbortSignal,
  ): Promise<AsyncIterable<string>> {
    if (this.#underWay >= MAX_CONCURRENT_EXPORTS) {
      throw new ServiceError('tooMany', 'Too many exports are under way; try again shortly');
    }
    signal.throwIfAborted();
    this.#underWay++;
    signal.addEventListener('abort', () => this.#underWay--, { once: true });

    const { tenure, name } = await this.#findSettled(email);
    // Each call has a deadline of its own: the whole takes as long as the caller does.
    const context = { deadline: Infinity, requestId };
    const lists = {
      messages: (token: string) => this.messages.listMessages(email, token, context),
      conversations: (token: string) => this.messages.listConversations(email, token, context),
      notifications: (token: string) => this.notifications.listNotifications(email, token, context),
    };
    const [subscribed, ...firstPages] = await Promise.all([
      this.notifications.isSubscribed(email, context),
      ...Object.values(lists).map(async (read) => read('')),
    ]);
    const requireSame = async () => {
      if ((await this.#findSettled(email)).tenure === tenure) return;
      throw new ServiceError('unavailable', 'The account has changed meanwhile; try again');
    };
    // What is all read by now can still be refused in order.
    if (firstPages.every(({ nextPageToken }) => nextPageToken === '')) await requireSame();
    return write({ account: { email, name }, subscription: { subscribed } }, lists, firstPages, requireSame);
  }

  /** Finds the account, once nothing that is or was another's is under its address, and all of its own is. */
  async #findSettled(email: string) {
    const [found, [existence], departures] = await Promise.all([
      this.store.findUser(email),
      this.store.usersExist([email]),
      this.store.findDepartures(email),
    ]);
    if (!found || !existence?.exists) throw new ServiceError('notFound', 'There is no user with this email');
    if (departures.length > 0) {
      throw new ServiceError('unavailable', 'What is at this address is still on its way; try again shortly');
    }
    return { name: found.record.name, tenure: existence.tenure };
  }
}

async function* write(
  fields: Record<string, unknown>,
  lists: Record<string, ReadPage>,
  firstPages: Page<unknown>[],
  requireSame: () => Promise<void>,
): AsyncGenerator<string, void> {
  const head = JSON.stringify({ success: true, message: 'All that there is of the user', ...fields });
  yield head.slice(0, -1);
  let hasMore = false;
  for (const [index, [name, read]] of Object.entries(lists).entries()) {
    yield `,${JSON.stringify(name)}:[`;
    let page = firstPages[index];
    let separator = '';
    while (page) {
      if (page.items.length > 0) {
        yield separator + JSON.stringify(page.items).slice(1, -1);
        separator = ',';
      }
      if (page.nextPageToken === '') break;
      hasMore = true;
      page = await read(page.nextPageToken);
    }
    yield ']';
  }
  // Whoever has the address now may be another.
  if (hasMore) await requireSame();
  yield '}';
}
