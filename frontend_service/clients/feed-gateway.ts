import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { FrontendServiceClient } from '@messaging/proto_definitions/frontend_service/FrontendService';
import type { Notification__Output } from '@messaging/proto_definitions/frontend_service/Notification';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import { type Notification, toNotification } from '../domain/notification.js';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;

/** FrontendService's own gRPC door, as its REST door needs it. */
export class FeedGateway {
  readonly peer: Peer<FrontendServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('FrontendService', address, timeoutMs, logger, FrontendService);
  }

  /**
   * Watches a user's notifications: first those after the one with the id `afterId`, then each as it comes. Resolves once it is
   * served.
   *
   * @throws {ServiceError} when FrontendService does not serve it, or ends it; it may be begun again.
   */
  async watch(email: string, afterId: number, signal: AbortSignal): Promise<AsyncIterable<Notification>> {
    const request = { email, after_id: String(afterId) };
    const replies = await this.peer.stream<Notification__Output>(
      (options) => this.peer.client.WatchNotifications(request, options),
      signal,
    );
    return toNotifications(replies);
  }
}

async function* toNotifications(
  replies: AsyncIterable<Notification__Output>,
): AsyncGenerator<Notification, void> {
  for await (const reply of replies) yield toNotification(reply);
}
