import type { ProtoGrpcType } from '@messaging/proto_definitions/message';
import type { MessageServiceHandlers } from '@messaging/proto_definitions/message_service/MessageService';
import type { SendMessageResponse } from '@messaging/proto_definitions/message_service/SendMessageResponse';
import { onlyServices, ownerOf } from '@messaging/service_kit/access/rules';
import { optionalEmail, requiredEmail } from '@messaging/service_kit/email';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { pageSize, pageToken } from '@messaging/service_kit/paging';
import { z } from 'zod';
import type { MessageServiceConfig } from '../config.js';
import { departure, move } from '../domain/departure.js';
import {
  describeConversation,
  describeMessage,
  messageContent,
  messageId,
  requestId,
} from '../domain/message.js';
import type { SendOutcome } from '../domain/messages.js';
import { createMessageService } from '../service.js';

const { MessageService } = loadProto<ProtoGrpcType>('message.proto').message_service;

const sendRequest = z.object({
  message: z.object({ sender_email: optionalEmail, receiver_email: optionalEmail, content: messageContent }),
  request_id: requestId,
});
const listRequest = z.object({
  user_email: requiredEmail,
  with_email: optionalEmail,
  page_size: pageSize,
  page_token: pageToken,
  newest_first: z.boolean().default(false),
});

const conversationsRequest = z.object({
  user_email: requiredEmail,
  page_size: pageSize,
  page_token: pageToken,
});
const deleteRequest = z.object({
  user_email: requiredEmail,
  message_id: messageId,
  for_both: z.boolean().default(false),
});
const markRequest = z.object({ user_email: requiredEmail, with_email: requiredEmail });

/** Creates the gRPC door of MessageService and all that it needs, in the order to start. */
export function createGrpcApp(config: MessageServiceConfig, logger: Logger): Component[] {
  const { messages, departures, access, redis, components } = createMessageService(config, logger);

  const server = new GrpcServer(
    config,
    logger,
    {
      name: 'message_service.MessageService',
      definition: MessageService.service,
      access,
      dependencies: [redis],
    },
    ({ unary }): MessageServiceHandlers => ({
      SendMessage: unary(
        sendRequest,
        ownerOf(({ message }) => message.sender_email),
        async ({ message, request_id }, context) => {
          const { sender_email, receiver_email, content } = message;
          const outcome = await messages.sendMessage(
            { senderEmail: sender_email, receiverEmail: receiver_email, content, requestId: request_id },
            context,
          );
          return toResponse(outcome);
        },
      ),

      GetMessages: unary(
        listRequest,
        ownerOf(({ user_email }) => user_email, 'user_service'),
        async (request) => {
          const page = await messages.listMessages(
            {
              userEmail: request.user_email,
              withEmail: request.with_email || undefined,
              newestFirst: request.newest_first,
            },
            { size: request.page_size, token: request.page_token },
          );
          return { messages: page.items.map(describeMessage), next_page_token: page.nextPageToken };
        },
      ),

      ListConversations: unary(
        conversationsRequest,
        ownerOf(({ user_email }) => user_email, 'user_service'),
        async ({ user_email, page_size, page_token }) => {
          const page = await messages.listConversationsPage(user_email, {
            size: page_size,
            token: page_token,
          });
          return { conversations: page.items.map(describeConversation), next_page_token: page.nextPageToken };
        },
      ),

      MarkConversationRead: unary(
        markRequest,
        ownerOf(({ user_email }) => user_email),
        async ({ user_email, with_email }) => {
          await messages.markConversationRead(user_email, with_email);
          return { success: true };
        },
      ),

      DeleteMessage: unary(
        deleteRequest,
        ownerOf(({ user_email }) => user_email),
        async ({ user_email, message_id, for_both }) => {
          await messages.deleteMessage(user_email, message_id, for_both);
          return { success: true };
        },
      ),

      MoveMailbox: unary(move, onlyServices('user_service'), async (request) => ({
        done: await departures.moveMailbox(request),
      })),

      EraseMailbox: unary(departure, onlyServices('user_service'), async (request) => ({
        done: await departures.eraseMailbox(request),
      })),
    }),
  );
  return [...components, server];
}

function toResponse(outcome: SendOutcome): SendMessageResponse {
  switch (outcome.status) {
    case 'stored':
      return { success: true, message: 'Message sent', message_id: outcome.messageId };
    case 'unknownSender':
      return { success: false, message: 'Sender does not exist' };
    case 'unknownReceiver':
      return { success: false, message: 'Receiver does not exist' };
  }
}
