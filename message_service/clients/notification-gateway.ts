import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { PendingNotification } from '../domain/message.js';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** NotificationService, as MessageService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
  }

  /**
   * Has the receiver of a message notified, or not, where it unsubscribed: either is final. A repeat changes
   * nothing.
   *
   * @throws {ServiceError} when NotificationService does not say that it has done so.
   */
  async createNotification(notification: PendingNotification): Promise<void> {
    await this.peer.call({ deadline: Infinity }, (options, callback) =>
      this.peer.client.CreateNotification(notification, options, callback),
    );
  }
}
