import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { FrontendServiceClient as Stub } from '@messaging/proto_definitions/frontend_service/FrontendService';
import type { Notification__Output } from '@messaging/proto_definitions/frontend_service/Notification';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import { type Notification, notification } from './notification.js';

/** FrontendService's gRPC door. */
export class FrontendServiceClient {
  readonly #peer: Peer<Stub>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;
    this.#peer = new Peer(`FrontendService at ${address}`, address, timeoutMs, logger, FrontendService);
  }

  stop(): void {
    this.#peer.stop();
  }

  /**
   * Watches a user's notifications: first those after the one with the id `afterId`, then each as it comes.
   *
   * @throws {ServiceError} when FrontendService does not serve it, or ends it; it may be begun again.
   */
  async *watch(email: string, afterId: string, signal: AbortSignal): AsyncGenerator<Notification, void> {
    const replies = await this.#peer.stream<Notification__Output>(
      (options) => this.#peer.client.WatchNotifications({ email, after_id: afterId }, options),
      signal,
    );
    for await (const reply of replies) yield notification.parse(reply);
  }
}
