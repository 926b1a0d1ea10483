import type { ProtoGrpcType } from '@messaging/proto_definitions/message';
import type { EraseMailboxResponse__Output } from '@messaging/proto_definitions/message_service/EraseMailboxResponse';
import type { MessageServiceClient } from '@messaging/proto_definitions/message_service/MessageService';
import type { MoveMailboxResponse__Output } from '@messaging/proto_definitions/message_service/MoveMailboxResponse';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import type { Departure } from '../domain/departure.js';

const { MessageService } = loadProto<ProtoGrpcType>('message.proto').message_service;

/** MessageService, as UserService needs it. */
export class MessageGateway {
  readonly peer: Peer<MessageServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('MessageService', address, timeoutMs, logger, MessageService);
  }

  /**
   * Has what an account left at an address follow it, or go, where it is deleted. A repeat goes on where it stopped.
   *
   * @throws {ServiceError} when MessageService does not say that it is done.
   */
  async clear({ id, email, tenure, to_email }: Departure, context: RequestContext): Promise<void> {
    const { client } = this.peer;
    const request = { email, tenure, departure_id: id };
    const ask = async () =>
      to_email === undefined
        ? this.peer.call<EraseMailboxResponse__Output>(context, (options, callback) =>
            client.EraseMailbox(request, options, callback),
          )
        : this.peer.call<MoveMailboxResponse__Output>(context, (options, callback) =>
            client.MoveMailbox({ ...request, to_email }, options, callback),
          );
    while (!(await ask()).done);
  }
}
