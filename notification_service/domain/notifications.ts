import pLimit from 'p-limit';
import {
  DEFAULT_PAGE_SIZE,
  decodePageToken,
  encodePageToken,
  type Page,
  type PageRequest,
} from '@messaging/service_kit/paging';
import type { Outbox } from '@messaging/service_kit/redis/outbox';
import type { RequestContext } from '@messaging/service_kit/request';
import type { FrontendGateway } from '../clients/frontend-gateway.js';
import type { Address, NotificationStore } from '../store/notification-store.js';
import {
  MAX_CHANGED_AT_ONCE,
  type NotificationChoice,
  type NotificationRecord,
  type PendingPush,
} from './notification.js';

/** Long lists are read a few at a time: many at once would hold up everything else until it times out. */
const MAX_CONCURRENT_LISTS = 8;

/** Who is notified of what, and who wants to be. */
export class Notifications {
  readonly #lists = pLimit(MAX_CONCURRENT_LISTS);

  constructor(
    private readonly store: NotificationStore,
    private readonly outbox: Outbox<PendingPush>,
    private readonly frontend: FrontendGateway,
  ) {}

  /**
   * Stores a notification and has it shown. Resolves once it is stored, whether or not FrontendService is up; to
   * false, with nothing stored, when the receiver is unsubscribed, or has left for good. One who has another address now is
   * notified there. One that a message caused is stored once, however often it is asked for.
   */
  async createNotification(
    senderEmail: string,
    receiver: Address,
    messageId: string | undefined,
    context: RequestContext,
  ): Promise<boolean> {
    const notification = {
      sender_email: senderEmail,
      receiver_email: receiver.email,
      timestamp: new Date().toISOString(),
      read: false,
      message_id: messageId,
    };
    const added = await this.store.addUnlessUnsubscribed(notification, receiver.tenure, context);
    if (added.result === 'left') {
      // Each time the tenure is a later one: this ends.
      return added.to ? this.createNotification(senderEmail, added.to, messageId, context) : false;
    }
    // Nobody waits for the push. Where FrontendService is away, it is the relay's.
    if (added.result === 'stored' && !this.frontend.peer.isUnreachable) {
      this.outbox.deliverSoon(added.entryId, added.notification, context.requestId);
    }
    return added.result !== 'unsubscribed';
  }

  /**
   * Lists all of a user's notifications, newest first, as the bytes of one JSON array: to parse them only for writing them again
   * took a third of the time, and to make texts of them a sixth of what Redis's answer takes.
   */
  async listNotificationsAsJson(email: string): Promise<Buffer> {
    return this.#lists(() => this.store.readAllAsJson(email));
  }

  /**
   * Lists a user's notifications a page at a time: the newest first, or, after the one with the id `afterId`, the oldest
   * first. `lastId` is the id of the user's last notification, wherever the page is.
   *
   * @throws {ServiceError} `invalid` for a bad token.
   */
  async listNotificationsPage(
    list: { email: string; afterId: number | undefined; unreadOnly: boolean },
    page: PageRequest,
  ): Promise<Page<NotificationRecord> & { lastId: string }> {
    const { email, afterId, unreadOnly } = list;
    const tokenScope = ['notifications', email, String(afterId ?? ''), String(unreadOnly)];
    const position = decodePageToken(tokenScope, page.token);
    const size = page.size ?? DEFAULT_PAGE_SIZE;
    const items: NotificationRecord[] = [];
    let after = position === undefined ? afterId : Number(position);
    for (;;) {
      const { notifications, nextAfter, lastId } = await this.store.readNotifications(email, {
        after,
        count: size - items.length,
        order: afterId === undefined ? 'newest first' : 'oldest first',
        unreadOnly,
      });
      items.push(...notifications);
      if (nextAfter === undefined) return { items, nextPageToken: '', lastId };
      if (items.length === size) {
        return { items, nextPageToken: encodePageToken(tokenScope, String(nextAfter)), lastId };
      }
      after = nextAfter;
    }
  }

  /** Notes that a user has seen notifications. Resolves to how many are left that the user has not seen. */
  async markRead(email: string, choice: NotificationChoice): Promise<number> {
    const upToId = await this.#findUpToId(email, choice);
    let seen = choice.ids;
    do {
      if (seen.length > 0) await this.store.markRead(email, seen);
      seen = upToId === undefined ? [] : await this.store.listUnreadIds(email, upToId, MAX_CHANGED_AT_ONCE);
    } while (seen.length > 0);
    return this.store.countUnread(email);
  }

  /** Deletes notifications of a user. Resolves to how many there were. */
  async deleteNotifications(email: string, choice: NotificationChoice): Promise<number> {
    const upToId = await this.#findUpToId(email, choice);
    let deleted = choice.ids.length === 0 ? 0 : await this.store.deleteNotifications(email, choice.ids);
    if (upToId === undefined) return deleted;
    let isDone = false;
    while (!isDone) {
      const oldest = await this.store.deleteOldest(email, upToId, MAX_CHANGED_AT_ONCE);
      deleted += oldest.deleted;
      ({ isDone } = oldest);
    }
    return deleted;
  }

  /** What comes from now on is not meant by all that there are. */
  async #findUpToId(email: string, { upToId, all }: NotificationChoice): Promise<number | undefined> {
    return all ? this.store.findLastId(email) : upToId;
  }

  /** Tells how many notifications a user has not seen. */
  async countUnread(email: string): Promise<number> {
    return this.store.countUnread(email);
  }

  /** True unless the user unsubscribed. */
  async isSubscribed(email: string): Promise<boolean> {
    return (await this.store.findSubscription(email))?.subscribed ?? true;
  }

  /** Has a user notified. @param tenure of whom: it makes no difference to whoever has the address since; empty for anyone */
  async subscribe(email: string, tenure = ''): Promise<void> {
    await this.store.setSubscription({ user_email: email, subscribed: true }, tenure);
  }

  async unsubscribe(email: string): Promise<void> {
    await this.store.setSubscription({ user_email: email, subscribed: false });
  }
}
