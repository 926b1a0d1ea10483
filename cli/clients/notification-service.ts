import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { ListNotificationsResponse__Output } from '@messaging/proto_definitions/notification_service/ListNotificationsResponse';
import type { NotificationServiceClient as Stub } from '@messaging/proto_definitions/notification_service/NotificationService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import { type Notification, notification } from './notification.js';

/** NotificationService's gRPC door. */
export class NotificationServiceClient {
  readonly #peer: Peer<Stub>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;
    this.#peer = new Peer(
      `NotificationService at ${address}`,
      address,
      timeoutMs,
      logger,
      NotificationService,
    );
  }

  stop(): void {
    this.#peer.stop();
  }

  /** Lists a user's latest notifications, the newest first, with the id of the last that there is or was. */
  async listNotifications(
    email: string,
    { isUnreadOnly, count }: { isUnreadOnly: boolean; count: number },
    context: RequestContext,
  ): Promise<{ notifications: Notification[]; lastId: string }> {
    const request = { email, unread_only: isUnreadOnly, page_size: count };
    const reply = await this.#peer.relay<ListNotificationsResponse__Output>(context, (options, callback) =>
      this.#peer.client.ListNotifications(request, options, callback),
    );
    return {
      notifications: reply.notifications.map((listed) => notification.parse(listed)),
      lastId: reply.last_id || '0',
    };
  }
}
