import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { CheckUserSubscribedResponse__Output } from '@messaging/proto_definitions/notification_service/CheckUserSubscribedResponse';
import type { CountUnreadResponse__Output } from '@messaging/proto_definitions/notification_service/CountUnreadResponse';
import type { ListNotificationsResponse__Output } from '@messaging/proto_definitions/notification_service/ListNotificationsResponse';
import type { MarkNotificationsReadResponse__Output } from '@messaging/proto_definitions/notification_service/MarkNotificationsReadResponse';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import type { SubscribeUserResponse__Output } from '@messaging/proto_definitions/notification_service/SubscribeUserResponse';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import { MAX_PAGE_SIZE, type Page, type PageRequest } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import { type Notification, toNotification } from '../domain/notification.js';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** NotificationService, as FrontendService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
  }

  /**
   * Lists a page of a user's notifications after the one with the id `afterId`, the oldest first.
   *
   * @throws {ServiceError} when NotificationService does not say.
   */
  async listAfter(email: string, afterId: number, pageToken: string): Promise<Page<Notification>> {
    const request = {
      email,
      after_id: String(afterId),
      page_size: MAX_PAGE_SIZE,
      page_token: pageToken,
    };
    const reply = await this.peer.call<ListNotificationsResponse__Output>(
      { deadline: Infinity },
      (options, callback) => this.peer.client.ListNotifications(request, options, callback),
    );
    return { items: reply.notifications.map(toNotification), nextPageToken: reply.next_page_token ?? '' };
  }

  /** Resolves to the id of a user's last notification; to 0 before the first. @throws {ServiceError} as above. */
  async findLastId(email: string): Promise<number> {
    const { last_id } = await this.peer.call<ListNotificationsResponse__Output>(
      { deadline: Infinity },
      (options, callback) => this.peer.client.ListNotifications({ email, page_size: 1 }, options, callback),
    );
    return Number(last_id ?? 0);
  }

  /** Lists a user's notifications, the newest first. @throws {ServiceError} `invalid` for a bad page. */
  async listNotifications(
    email: string,
    unreadOnly: boolean,
    page: PageRequest,
    context: RequestContext,
  ): Promise<Page<Notification>> {
    const request = {
      email,
      unread_only: unreadOnly,
      page_size: page.size ?? 0,
      page_token: page.token ?? '',
    };
    const reply = await this.peer.relay<ListNotificationsResponse__Output>(context, (options, callback) =>
      this.peer.client.ListNotifications(request, options, callback),
    );
    return { items: reply.notifications.map(toNotification), nextPageToken: reply.next_page_token ?? '' };
  }

  /** Tells how many notifications a user has not seen. */
  async countUnread(email: string, context: RequestContext): Promise<number> {
    const { unread } = await this.peer.relay<CountUnreadResponse__Output>(context, (options, callback) =>
      this.peer.client.CountUnread({ email }, options, callback),
    );
    return unread ?? 0;
  }

  /**
   * Notes that a user has seen those with these ids, and all up to the one with the id `upToId`, where that is given.
   *
   * @throws {ServiceError} `invalid` for what is no id.
   */
  async markRead(
    email: string,
    seen: { ids: string[]; upToId: string | undefined },
    context: RequestContext,
  ): Promise<void> {
    const request = { email, ids: seen.ids, up_to_id: seen.upToId ?? '' };
    await this.peer.relay<MarkNotificationsReadResponse__Output>(context, (options, callback) =>
      this.peer.client.MarkNotificationsRead(request, options, callback),
    );
  }

  /** Tells whether a user gets notifications. */
  async isSubscribed(email: string, context: RequestContext): Promise<boolean> {
    const { subscribed } = await this.peer.relay<CheckUserSubscribedResponse__Output>(
      context,
      (options, callback) => this.peer.client.CheckUserSubscribed({ email }, options, callback),
    );
    return subscribed ?? false;
  }

  /** Has a user notified from now on, or no longer. */
  async setSubscribed(email: string, subscribed: boolean, context: RequestContext): Promise<void> {
    await this.peer.relay<SubscribeUserResponse__Output>(context, (options, callback) =>
      subscribed
        ? this.peer.client.SubscribeUser({ email }, options, callback)
        : this.peer.client.UnsubscribeUser({ email }, options, callback),
    );
  }
}
