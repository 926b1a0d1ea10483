import type { ProtoGrpcType } from '@messaging/proto_definitions/message';
import type { MessageServiceClient as Stub } from '@messaging/proto_definitions/message_service/MessageService';
import type { SendMessageResponse__Output } from '@messaging/proto_definitions/message_service/SendMessageResponse';
import { ServiceError } from '@messaging/service_kit/errors';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';

/** A message before it is sent. */
export interface NewMessage {
  sender: string;
  receiver: string;
  content: string;
  /** By which a repeat is known again. */
  idempotencyKey: string | undefined;
}

/** MessageService's gRPC door. */
export class MessageServiceClient {
  readonly #peer: Peer<Stub>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    const { MessageService } = loadProto<ProtoGrpcType>('message.proto').message_service;
    this.#peer = new Peer(`MessageService at ${address}`, address, timeoutMs, logger, MessageService);
  }

  stop(): void {
    this.#peer.stop();
  }

  /**
   * Sends a message. Resolves to its id.
   *
   * @throws {ServiceError} `notFound` where a party has no account; as a call does.
   */
  async sendMessage(
    { sender, receiver, content, idempotencyKey }: NewMessage,
    context: RequestContext,
  ): Promise<string> {
    const request = {
      message: { sender_email: sender, receiver_email: receiver, content },
      ...(idempotencyKey !== undefined && { request_id: idempotencyKey }),
    };
    const { success, message, message_id } = await this.#peer.relay<SendMessageResponse__Output>(
      context,
      (options, callback) => this.#peer.client.SendMessage(request, options, callback),
    );
    if (!success) throw new ServiceError('notFound', message ?? 'It was not sent');
    return message_id ?? '';
  }
}
