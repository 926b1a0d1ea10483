import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { CheckUserSubscribedResponse__Output } from '@messaging/proto_definitions/notification_service/CheckUserSubscribedResponse';
import type { EraseNotificationsResponse__Output } from '@messaging/proto_definitions/notification_service/EraseNotificationsResponse';
import type { ListNotificationsResponse__Output } from '@messaging/proto_definitions/notification_service/ListNotificationsResponse';
import type { MoveNotificationsResponse__Output } from '@messaging/proto_definitions/notification_service/MoveNotificationsResponse';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import { MAX_PAGE_SIZE, type Page } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import type { Departure } from '../domain/departure.js';
import type { PendingSubscription } from '../domain/user.js';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** NotificationService, as UserService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
  }

  /** Subscribes a user to notifications. @throws {ServiceError} when NotificationService does not say that it has. */
  async subscribe({ email, tenure = '' }: PendingSubscription, context: RequestContext): Promise<void> {
    await this.peer.call(context, (options, callback) =>
      this.peer.client.SubscribeUser({ email, tenure }, options, callback),
    );
  }

  /**
   * Has what an account left at an address follow it, or go, where it is deleted. A repeat goes on where it stopped.
   *
   * @throws {ServiceError} when NotificationService does not say that it is done.
   */
  async clear({ id, email, tenure, to_email }: Departure, context: RequestContext): Promise<void> {
    const request = { email, tenure, departure_id: id };
    const ask = async () =>
      to_email === undefined
        ? this.peer.call<EraseNotificationsResponse__Output>(context, (options, callback) =>
            this.peer.client.EraseNotifications(request, options, callback),
          )
        : this.peer.call<MoveNotificationsResponse__Output>(context, (options, callback) =>
            this.peer.client.MoveNotifications({ ...request, to_email }, options, callback),
          );
    while (!(await ask()).done);
  }

  /** Lists a page of a user's notifications, the newest first. */
  async listNotifications(email: string, pageToken: string, context: RequestContext): Promise<Page<unknown>> {
    const request = { email, page_size: MAX_PAGE_SIZE, page_token: pageToken };
    const reply = await this.peer.call<ListNotificationsResponse__Output>(context, (options, callback) =>
      this.peer.client.ListNotifications(request, options, callback),
    );
    return { items: reply.notifications, nextPageToken: reply.next_page_token ?? '' };
  }

  /** Tells whether a user gets notifications. */
  async isSubscribed(email: string, context: RequestContext): Promise<boolean> {
    const reply = await this.peer.call<CheckUserSubscribedResponse__Output>(context, (options, callback) =>
      this.peer.client.CheckUserSubscribed({ email }, options, callback),
    );
    return reply.subscribed ?? true;
  }
}
