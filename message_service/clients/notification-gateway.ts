import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { NotificationServiceClient } from '@messaging/proto_definitions/notification_service/NotificationService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** NotificationService, as MessageService needs it. */
export class NotificationGateway {
  readonly peer: Peer<NotificationServiceClient>;
  readonly #waitMs: number;
  readonly #logger: Logger;

  constructor(address: string, timeoutMs: number, waitMs: number, logger: Logger) {
    this.#waitMs = waitMs;
    this.#logger = logger;
    this.peer = new Peer('NotificationService', address, timeoutMs, logger, NotificationService);
  }

  /**
   * Has the receiver of a stored message notified. Never fails: a failure is logged. Resolves once the
   * notification is stored; after `waitMs` at the latest, though the call goes on; at once, when
   * NotificationService can't be reached anyway.
   */
  async notify(senderEmail: string, receiverEmail: string): Promise<void> {
    const call = this.#create(senderEmail, receiverEmail).catch((error: unknown) => {
      this.#logger.warn({ err: error }, 'a message is stored, but its receiver was not notified');
    });
    if (this.peer.isUnreachable) return;

    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#waitMs);
    });
    await Promise.race([call, patience]);
    clearTimeout(timer);
  }

  async #create(sender_email: string, receiver_email: string): Promise<void> {
    await this.peer.call({ deadline: Infinity }, (options, callback) =>
      this.peer.client.CreateNotification({ sender_email, receiver_email }, options, callback),
    );
  }
}
