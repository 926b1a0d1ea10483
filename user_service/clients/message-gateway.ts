import type { ProtoGrpcType } from '@messaging/proto_definitions/message';
import type { EraseMailboxResponse__Output } from '@messaging/proto_definitions/message_service/EraseMailboxResponse';
import type { GetMessagesResponse__Output } from '@messaging/proto_definitions/message_service/GetMessagesResponse';
import type { ListConversationsResponse__Output } from '@messaging/proto_definitions/message_service/ListConversationsResponse';
import type { MessageServiceClient } from '@messaging/proto_definitions/message_service/MessageService';
import type { MoveMailboxResponse__Output } from '@messaging/proto_definitions/message_service/MoveMailboxResponse';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { Page } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import type { Departure } from '../domain/departure.js';

const { MessageService } = loadProto<ProtoGrpcType>('message.proto').message_service;

const MESSAGES_AT_ONCE = 100;
/** With the last message of each, of 64 KiB at the most, they stay below what a gRPC client takes. */
const CONVERSATIONS_AT_ONCE = 50;

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
    const request = { email, tenure, departure_id: id };
    const ask = async () =>
      to_email === undefined
        ? this.peer.call<EraseMailboxResponse__Output>(context, (options, callback) =>
            this.peer.client.EraseMailbox(request, options, callback),
          )
        : this.peer.call<MoveMailboxResponse__Output>(context, (options, callback) =>
            this.peer.client.MoveMailbox({ ...request, to_email }, options, callback),
          );
    while (!(await ask()).done);
  }

  /** Lists a page of the messages that a user sent and received, the oldest first. */
  async listMessages(email: string, pageToken: string, context: RequestContext): Promise<Page<unknown>> {
    const request = { user_email: email, page_size: MESSAGES_AT_ONCE, page_token: pageToken };
    const reply = await this.peer.call<GetMessagesResponse__Output>(context, (options, callback) =>
      this.peer.client.GetMessages(request, options, callback),
    );
    return { items: reply.messages, nextPageToken: reply.next_page_token ?? '' };
  }

  /** Lists a page of a user's conversations, the most recent first. */
  async listConversations(email: string, pageToken: string, context: RequestContext): Promise<Page<unknown>> {
    const request = { user_email: email, page_size: CONVERSATIONS_AT_ONCE, page_token: pageToken };
    const reply = await this.peer.call<ListConversationsResponse__Output>(context, (options, callback) =>
      this.peer.client.ListConversations(request, options, callback),
    );
    return { items: reply.conversations, nextPageToken: reply.next_page_token ?? '' };
  }
}
