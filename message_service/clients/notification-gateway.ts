import type { requestCallback } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { CreateNotificationsResponse__Output } from '@messaging/proto_definitions/notification_service/CreateNotificationsResponse';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import type { PendingNotification } from '../domain/message.js';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** NotificationService, as MessageService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;
  readonly #create: (notification: PendingNotification, context: RequestContext) => Promise<unknown>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
    this.#create = this.peer.coalesce({
      path: NotificationService.service.CreateNotifications.path,
      request: (notifications: PendingNotification[], origins) => ({ notifications, ...origins }),
      unary: (request, options, callback: requestCallback<CreateNotificationsResponse__Output>) =>
        this.peer.client.CreateNotifications(request, options, callback),
      stream: (options) => this.peer.client.CreateNotificationsStream(options),
      results: (reply) => reply.results,
    });
  }

  /**
   * Has the receiver of a message notified, or not, where it unsubscribed: either is final. A repeat changes
   * nothing.
   *
   * @throws {ServiceError} when NotificationService does not say that it has done so.
   */
  async createNotification(notification: PendingNotification, context: RequestContext): Promise<void> {
    await this.#create(notification, context);
  }
}
