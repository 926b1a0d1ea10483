import { ownerOf } from '@messaging/service_kit/access/rules';
import { ServiceError } from '@messaging/service_kit/errors';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { DEFAULT_PAGE_SIZE, toPageRequest } from '@messaging/service_kit/paging';
import { readEmail } from '@messaging/service_kit/rest/email-input';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { MessageServiceConfig } from '../config.js';
import { describeConversation, describeMessage } from '../domain/message.js';
import { createMessageService } from '../service.js';
import * as operations from './operations.js';

/** Creates the REST door of MessageService and all that it needs, in the order to start. */
export function createRestApp(config: MessageServiceConfig, logger: Logger): Component[] {
  const { messages, access, redis, peers, components } = createMessageService(config, logger);

  const server = new RestServer(
    config,
    logger,
    {
      name: 'MessageService',
      description:
        'What users write to each other: it takes messages, keeps them, and has their receivers notified.',
      access,
      dependencies: [redis],
      peers,
    },
    (on) => {
      on(
        operations.sendMessage,
        ownerOf(({ body }) => body.sender_email),
      ).do(async ({ body, headers }, context) => {
        const outcome = await messages.sendMessage(
          {
            senderEmail: body.sender_email,
            receiverEmail: body.receiver_email,
            content: body.content,
            requestId: headers['idempotency-key'],
          },
          context,
        );
        if (outcome.status === 'unknownSender') throw new ServiceError('notFound', 'Sender does not exist');
        if (outcome.status === 'unknownReceiver') {
          throw new ServiceError('notFound', 'Receiver does not exist');
        }
        return { success: true, message: 'Message sent', message_id: outcome.messageId };
      });

      on(
        operations.listMessages,
        ownerOf(({ query }) => query.user_email),
      ).do(async ({ query }) => {
        const page = await messages.listMessages(
          {
            userEmail: query.user_email,
            withEmail: query.with_email || undefined,
            newestFirst: query.newest_first,
          },
          { size: query.page_size ?? DEFAULT_PAGE_SIZE, token: query.page_token },
        );
        return {
          success: true,
          messages: page.items.map(describeMessage),
          next_page_token: page.nextPageToken,
        };
      });

      on(
        operations.deleteMessage,
        ownerOf(({ query }) => query.user_email),
      ).do(async ({ params, query }) =>
        messages.deleteMessage(query.user_email, params.message_id, query.for_both),
      );

      on(
        operations.listConversationsPage,
        ownerOf(({ query }) => query.user_email),
      ).do(async ({ query }) => {
        const page = await messages.listConversationsPage(query.user_email, toPageRequest(query));
        return {
          success: true,
          conversations: page.items.map(describeConversation),
          next_page_token: page.nextPageToken,
        };
      });

      on(
        operations.markConversationRead,
        ownerOf(({ body }) => body.user_email),
      ).do(async ({ body }) => {
        await messages.markConversationRead(body.user_email, body.with_email);
        return { success: true, message: 'Conversation marked as read' };
      });

      on(operations.listConversations, ownerOf(readEmail)).do(async (input) => ({
        success: true,
        conversations: await messages.listConversations(readEmail(input)),
      }));
    },
  );
  return [...components, server];
}
