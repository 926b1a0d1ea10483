import pLimit from 'p-limit';
import type { FrontendGateway } from '../clients/frontend-gateway.js';
import type { NotificationStore } from '../store/notification-store.js';
import type { NotificationRecord } from './notification.js';

/** Long lists are read a few at a time: many at once would hold up everything else until it times out. */
const MAX_CONCURRENT_LISTS = 4;

/** Who is notified of what, and who wants to be. */
export class Notifications {
  readonly #lists = pLimit(MAX_CONCURRENT_LISTS);

  constructor(
    private readonly store: NotificationStore,
    private readonly frontend: FrontendGateway,
  ) {}

  /**
   * Stores a notification and has it shown. Resolves once it is stored, whether or not FrontendService is up; to
   * false, with nothing stored, when the receiver is unsubscribed.
   */
  async createNotification(senderEmail: string, receiverEmail: string): Promise<boolean> {
    const notification = {
      sender_email: senderEmail,
      receiver_email: receiverEmail,
      timestamp: new Date().toISOString(),
      read: false,
    };
    const isStored = await this.store.addUnlessUnsubscribed(notification);
    if (isStored) this.frontend.pushInBackground(notification);
    return isStored;
  }

  /** Lists all of a user's notifications, newest first. */
  async listNotifications(email: string): Promise<NotificationRecord[]> {
    return this.#lists(() => this.store.listNotifications(email));
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
