import type { ProtoGrpcType } from '@messaging/proto_definitions/message';
import type { GetMessagesResponse__Output } from '@messaging/proto_definitions/message_service/GetMessagesResponse';
import type { ListConversationsResponse__Output } from '@messaging/proto_definitions/message_service/ListConversationsResponse';
import type { MarkConversationReadResponse__Output } from '@messaging/proto_definitions/message_service/MarkConversationReadResponse';
import type { Message__Output } from '@messaging/proto_definitions/message_service/Message';
import type { MessageServiceClient } from '@messaging/proto_definitions/message_service/MessageService';
import type { SendMessageResponse__Output } from '@messaging/proto_definitions/message_service/SendMessageResponse';
import { ServiceError } from '@messaging/service_kit/errors';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import { DEFAULT_PAGE_SIZE, type Page, type PageRequest } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import type { Conversation, Message, NewMessage } from '../domain/message.js';

const { MessageService } = loadProto<ProtoGrpcType>('message.proto').message_service;

/** MessageService, as FrontendService needs it. */
export class MessageGateway {
  readonly peer: Peer<MessageServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('MessageService', address, timeoutMs, logger, MessageService);
  }

  /**
   * Sends a message. Resolves to its id once it is stored.
   *
   * @throws {ServiceError} `notFound` where the receiver has no account, `unauthenticated` where the sender has none any more;
   *   `invalid` for content that can't be sent; `mismatch` when the request id came with another message.
   */
  async sendMessage(message: NewMessage, context: RequestContext): Promise<string> {
    const { senderEmail, receiverEmail, content, requestId } = message;
    const request = {
      message: { sender_email: senderEmail, receiver_email: receiverEmail, content },
      ...(requestId === undefined ? {} : { request_id: requestId }),
    };
    const reply = await this.peer.relay<SendMessageResponse__Output>(context, (options, callback) =>
      this.peer.client.SendMessage(request, options, callback),
    );
    if (reply.success && reply.message_id !== undefined) return reply.message_id;
    if (reply.message === 'Receiver does not exist') {
      throw new ServiceError('notFound', `${receiverEmail} has no account here: check the address`);
    }
    throw new ServiceError('unauthenticated', 'Your account does not exist any more: sign in again');
  }

  /** Lists what two have written to each other, the newest first. @throws {ServiceError} `invalid` for a bad page. */
  async listMessages(
    email: string,
    withEmail: string,
    page: PageRequest,
    context: RequestContext,
  ): Promise<Page<Message>> {
    const request = {
      user_email: email,
      with_email: withEmail,
      newest_first: true,
      page_size: page.size ?? DEFAULT_PAGE_SIZE,
      page_token: page.token ?? '',
    };
    const reply = await this.peer.relay<GetMessagesResponse__Output>(context, (options, callback) =>
      this.peer.client.GetMessages(request, options, callback),
    );
    return { items: reply.messages.map(toMessage), nextPageToken: reply.next_page_token ?? '' };
  }

  /** Lists a user's conversations, the most recent first. @throws {ServiceError} `invalid` for a bad page. */
  async listConversations(
    email: string,
    page: PageRequest,
    context: RequestContext,
  ): Promise<Page<Conversation>> {
    const request = { user_email: email, page_size: page.size ?? 0, page_token: page.token ?? '' };
    const reply = await this.peer.relay<ListConversationsResponse__Output>(context, (options, callback) =>
      this.peer.client.ListConversations(request, options, callback),
    );
    const conversations = reply.conversations.map((conversation) => ({
      email: conversation.email ?? '',
      last_message: toMessage(conversation.last_message ?? {}),
      unread: conversation.unread ?? 0,
    }));
    return { items: conversations, nextPageToken: reply.next_page_token ?? '' };
  }

  /** Notes that a user has seen all that came from another so far. */
  async markConversationRead(email: string, withEmail: string, context: RequestContext): Promise<void> {
    const request = { user_email: email, with_email: withEmail };
    await this.peer.relay<MarkConversationReadResponse__Output>(context, (options, callback) =>
      this.peer.client.MarkConversationRead(request, options, callback),
    );
  }
}

function toMessage({
  message_id = '',
  sender_email = '',
  receiver_email = '',
  content = '',
  timestamp = '',
}: Message__Output): Message {
  return { message_id, sender_email, receiver_email, content, timestamp };
}
