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
  readonly #logger: Logger;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.#logger = logger;
    this.peer = new Peer('FrontendService', address, timeoutMs, logger, FrontendService);
  }

  /** Has a stored notification shown. Nobody waits for it, and a failure is logged. */
  pushInBackground(notification: NotificationRecord): void {
    this.#push(notification).catch((error: unknown) => {
      this.#logger.warn({ err: error }, 'a notification is stored, but FrontendService did not take it');
    });
  }

  async #push({ sender_email, receiver_email, timestamp, read }: NotificationRecord): Promise<void> {
    await this.peer.call({ deadline: Infinity }, (options, callback) =>
      this.peer.client.ReceiveNotification(
        { sender_email, receiver_email, timestamp, read },
        options,
        callback,
      ),
    );
  }
}
