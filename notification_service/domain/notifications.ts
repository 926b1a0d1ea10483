import pLimit from 'p-limit';
import {
  DEFAULT_PAGE_SIZE,
  decodePageToken,
  encodePageToken,
  type Page,
  type PageRequest,
} from '@messaging/service_kit/paging';
import type { Outbox } from '@messaging/service_kit/redis/outbox';
import type { FrontendGateway } from '../clients/frontend-gateway.js';
import type { NotificationStore } from '../store/notification-store.js';
import { MAX_MARKED_AT_ONCE, type NotificationRecord } from './notification.js';

/** Long lists are read a few at a time: many at once would hold up everything else until it times out. */
const MAX_CONCURRENT_LISTS = 4;

/** Who is notified of what, and who wants to be. */
export class Notifications {
  readonly #lists = pLimit(MAX_CONCURRENT_LISTS);

  constructor(
    private readonly store: NotificationStore,
    private readonly outbox: Outbox<NotificationRecord>,
    private readonly frontend: FrontendGateway,
  ) {}

  /**
   * Stores a notification and has it shown. Resolves once it is stored, whether or not FrontendService is up; to
   * false, with nothing stored, when the receiver is unsubscribed. One that a message caused is stored once,
   * however often it is asked for.
   */
  async createNotification(
    senderEmail: string,
    receiverEmail: string,
    messageId: string | undefined,
  ): Promise<boolean> {
    const added = await this.store.addUnlessUnsubscribed({
      sender_email: senderEmail,
      receiver_email: receiverEmail,
      timestamp: new Date().toISOString(),
      read: false,
      message_id: messageId,
    });
    // Nobody waits for the push. Where FrontendService is away, it is the relay's.
    if (added.result === 'stored' && !this.frontend.peer.isUnreachable) {
      this.outbox.deliverSoon(added.entryId, added.notification);
    }
    return added.result !== 'unsubscribed';
  }

  /** Lists all of a user's notifications, newest first. */
  async listNotifications(email: string): Promise<NotificationRecord[]> {
    return this.#lists(() => this.store.listNotifications(email));
  }

  /**
   * Lists a user's notifications a page at a time: the newest first, or, after the one with the id `afterId`, the oldest
   * first.
   *
   * @throws {ServiceError} `invalid` for a bad token.
   */
  async listNotificationsPage(
    list: { email: string; afterId: number | undefined; unreadOnly: boolean },
    page: PageRequest,
  ): Promise<Page<NotificationRecord>> {
    const { email, afterId, unreadOnly } = list;
    const tokenScope = ['notifications', email, String(afterId ?? ''), String(unreadOnly)];
    const position = decodePageToken(tokenScope, page.token);
    const { notifications, nextAfter } = await this.store.readNotifications(email, {
      after: position === undefined ? afterId : Number(position),
      count: page.size ?? DEFAULT_PAGE_SIZE,
      order: afterId === undefined ? 'newest first' : 'oldest first',
      unreadOnly,
    });
    return {
      items: notifications,
      nextPageToken: nextAfter === undefined ? '' : encodePageToken(tokenScope, String(nextAfter)),
    };
  }

  /**
   * Notes that a user has seen the notifications with these ids, and all up to `upToId`. Resolves to how many are left
   * that the user has not seen.
   */
  async markRead(email: string, ids: number[], upToId: number | undefined): Promise<number> {
    let seen = ids;
    do {
      if (seen.length > 0) await this.store.markRead(email, seen);
      seen = upToId === undefined ? [] : await this.store.listUnreadIds(email, upToId, MAX_MARKED_AT_ONCE);
    } while (seen.length > 0);
    return this.store.countUnread(email);
  }

  /** Tells how many notifications a user has not seen. */
  async countUnread(email: string): Promise<number> {
    return this.store.countUnread(email);
  }

  /** True unless the user unsubscribed. */
  async isSubscribed(email: string): Promise<boolean> {
    return (await this.store.findSubscription(email))?.subscribed ?? true;
  }

  async subscribe(email: string): Promise<void> {
    await this.store.setSubscription({ user_email: email, subscribed: true });
  }

  async unsubscribe(email: string): Promise<void> {
    await this.store.setSubscription({ user_email: email, subscribed: false });
  }
}
