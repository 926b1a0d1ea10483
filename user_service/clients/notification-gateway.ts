import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

const RETRY_DELAY_MS = { first: 250, most: 5_000 };

/** NotificationService, as UserService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;
  readonly #logger: Logger;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.#logger = logger;
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
  }

  /** Subscribes a user to notifications, and tries again for as long as NotificationService is away. */
  subscribeInBackground(email: string, retryDelayMs = RETRY_DELAY_MS.first): void {
    this.#subscribe(email).catch((error: unknown) => {
      this.#logger.debug({ err: error }, 'subscribing a new user failed; trying again');
      const nextDelayMs = Math.min(retryDelayMs * 2, RETRY_DELAY_MS.most);
      setTimeout(() => this.subscribeInBackground(email, nextDelayMs), retryDelayMs * (0.5 + Math.random()));
    });
  }

  async #subscribe(email: string): Promise<void> {
    await this.peer.call({ deadline: Infinity }, (options, callback) =>
      this.peer.client.SubscribeUser({ email }, options, callback),
    );
  }
}
