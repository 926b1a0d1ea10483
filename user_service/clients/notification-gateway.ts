import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** NotificationService, as UserService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
  }

  /** Subscribes a user to notifications. @throws {ServiceError} when NotificationService does not say that it has. */
  async subscribe(email: string, context: RequestContext): Promise<void> {
    await this.peer.call(context, (options, callback) =>
      this.peer.client.SubscribeUser({ email }, options, callback),
    );
  }
}
