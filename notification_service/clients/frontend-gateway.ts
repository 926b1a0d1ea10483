import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { FrontendServiceClient } from '@messaging/proto_definitions/frontend_service/FrontendService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { NotificationRecord } from '../domain/notification.js';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;

/** FrontendService, as NotificationService needs it. */
export class FrontendGateway {
  readonly peer: Peer<FrontendServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('FrontendService', address, timeoutMs, logger, FrontendService);
  }

  /** Has a stored notification shown. @throws {ServiceError} when FrontendService does not say that it took it. */
  async push(notification: NotificationRecord): Promise<void> {
    const { sender_email, receiver_email, timestamp, read, id, message_id } = notification;
    const known = {
      ...(id === undefined ? {} : { id }),
      ...(message_id === undefined ? {} : { message_id }),
    };
    await this.peer.call({ deadline: Infinity }, (options, callback) =>
      this.peer.client.ReceiveNotification(
        { sender_email, receiver_email, timestamp, read, ...known },
        options,
        callback,
      ),
    );
  }
}
