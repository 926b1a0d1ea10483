import type { Page, PageRequest } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import type { MessageGateway } from '../clients/message-gateway.js';
import type { NotificationGateway } from '../clients/notification-gateway.js';
import type { Conversation, Message, NewMessage } from './message.js';
import type { Notification } from './notification.js';

/** What a person sees and does: all of it is kept by the other services, in the name of the user that `email` is. */
export class Inbox {
  constructor(
    private readonly messages: MessageGateway,
    private readonly notifications: NotificationGateway,
  ) {}

  /** Lists a user's conversations, the most recent first. @throws {ServiceError} `invalid` for a bad page. */
  async listConversations(
    email: string,
    page: PageRequest,
    context: RequestContext,
  ): Promise<Page<Conversation>> {
    return this.messages.listConversations(email, page, context);
  }

  /** Lists a conversation's messages, the newest first. @throws {ServiceError} `invalid` for a bad page. */
  async listMessages(
    email: string,
    withEmail: string,
    page: PageRequest,
    context: RequestContext,
  ): Promise<Page<Message>> {
    return this.messages.listMessages(email, withEmail, page, context);
  }

  /**
   * Sends a message. Resolves to its id once it is stored.
   *
   * @throws {ServiceError} `notFound` where the receiver has no account, `invalid` for content that can't be sent, `mismatch`
   *   when the request id came with another message.
   */
  async sendMessage(message: NewMessage, context: RequestContext): Promise<string> {
    return this.messages.sendMessage(message, context);
  }

  /** Notes that a user has seen all that came from another so far. */
  async markConversationRead(email: string, withEmail: string, context: RequestContext): Promise<void> {
    await this.messages.markConversationRead(email, withEmail, context);
  }

  /** Lists a user's notifications, the newest first, with how many are unread in all. */
  async listNotifications(
    email: string,
    unreadOnly: boolean,
    page: PageRequest,
    context: RequestContext,
  ): Promise<Page<Notification> & { unread: number }> {
    const [listed, unread] = await Promise.all([
      this.notifications.listNotifications(email, unreadOnly, page, context),
      this.notifications.countUnread(email, context),
    ]);
    return { ...listed, unread };
  }

  /** Notes that a user has seen notifications. @throws {ServiceError} `invalid` for what is no id. */
  async markNotificationsRead(
    email: string,
    seen: { ids: string[]; upToId: string | undefined },
    context: RequestContext,
  ): Promise<void> {
    await this.notifications.markRead(email, seen, context);
  }

  /** Tells whether a user gets notifications. */
  async isSubscribed(email: string, context: RequestContext): Promise<boolean> {
    return this.notifications.isSubscribed(email, context);
  }

  /** Has a user notified from now on, or no longer. */
  async setSubscribed(email: string, subscribed: boolean, context: RequestContext): Promise<void> {
    await this.notifications.setSubscribed(email, subscribed, context);
  }
}
