import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import type { Notification__Output } from '@messaging/proto_definitions/notification_service/Notification';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import { MAX_PAGE_SIZE } from '@messaging/service_kit/paging';
import type { Notification } from '../domain/notification.js';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** NotificationService, as FrontendService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
  }

  /**
   * Lists a user's notifications after the one with the id `afterId`, the oldest first: `MAX_PAGE_SIZE`, unless there are
   * fewer.
   *
   * @throws {ServiceError} when NotificationService does not say.
   */
  async listAfter(email: string, afterId: number): Promise<Notification[]> {
    const request = { email, after_id: String(afterId), page_size: MAX_PAGE_SIZE };
    const { notifications } = await this.peer.call<ListReply>({ deadline: Infinity }, (options, callback) =>
      this.peer.client.ListNotifications(request, options, callback),
    );
    return notifications.map(toNotification);
  }

  /** Resolves to the id of a user's last notification; to 0 before the first. @throws {ServiceError} as above. */
  async findLastId(email: string): Promise<number> {
    const { notifications } = await this.peer.call<ListReply>({ deadline: Infinity }, (options, callback) =>
      this.peer.client.ListNotifications({ email, page_size: 1 }, options, callback),
    );
    return Number(notifications[0]?.id ?? 0);
  }
}

interface ListReply {
  notifications: Notification__Output[];
}

function toNotification({
  sender_email = '',
  receiver_email = '',
  timestamp = '',
  read = false,
  ...ids
}: Notification__Output): Notification {
  return { sender_email, receiver_email, timestamp, read, ...ids };
}
