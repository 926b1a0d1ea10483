import { optionalEmail, requiredEmail } from '@messaging/service_kit/email';
import { ServiceError } from '@messaging/service_kit/errors';
import { booleanText, parseInput } from '@messaging/service_kit/input';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { DEFAULT_PAGE_SIZE, pageQuery } from '@messaging/service_kit/paging';
import { readEmailQuery } from '@messaging/service_kit/rest/email-query';
import { RestServer } from '@messaging/service_kit/rest/server';
import { z } from 'zod';
import type { MessageServiceConfig } from '../config.js';
import {
  describeConversation,
  describeMessage,
  messageContent,
  messageId,
  requestId,
} from '../domain/message.js';
import { createMessageService } from '../service.js';

/** Enough for a message of 64 KiB, however much of it JSON has to escape. */
const MESSAGE_BODY_LIMIT_BYTES = 512 * 1024;

const newMessage = z.object({
  sender_email: requiredEmail,
  receiver_email: requiredEmail,
  content: messageContent,
});
const messagesQuery = z.object({
  user_email: requiredEmail,
  with_email: optionalEmail,
  newest_first: booleanText,
});
const messagePath = z.object({ message_id: messageId });
const deletionQuery = z.object({ user_email: requiredEmail, for_both: booleanText });
const conversationsQuery = z.object({ user_email: requiredEmail });
const seenConversation = z.object({ user_email: requiredEmail, with_email: requiredEmail });
const requestHeaders = z.object({ 'idempotency-key': requestId });

/** Creates the REST door of MessageService and all that it needs, in the order to start. */
export function createRestApp(config: MessageServiceConfig, logger: Logger): Component[] {
  const { messages, redis, userService, notificationService, components } = createMessageService(
    config,
    logger,
  );

  const server = new RestServer(
    config,
    logger,
    { name: 'MessageService', dependencies: [redis], peers: [userService, notificationService] },
    (add) => {
      add(
        'post',
        '/messages',
        async (request, response, context) => {
          const { sender_email, receiver_email, content } = parseInput(newMessage, request.body);
          const { 'idempotency-key': key } = parseInput(requestHeaders, request.headers);
          const outcome = await messages.sendMessage(
            { senderEmail: sender_email, receiverEmail: receiver_email, content, requestId: key },
            context,
          );
          if (outcome.status === 'unknownSender') throw new ServiceError('notFound', 'Sender does not exist');
          if (outcome.status === 'unknownReceiver') {
            throw new ServiceError('notFound', 'Receiver does not exist');
          }
          response
            .status(201)
            .json({ success: true, message: 'Message sent', message_id: outcome.messageId });
        },
        { bodyLimitBytes: MESSAGE_BODY_LIMIT_BYTES },
      );

      add('get', '/messages', async (request, response) => {
        const { user_email, with_email, newest_first } = parseInput(messagesQuery, request.query);
        const { page_size, page_token } = parseInput(pageQuery, request.query);
        const page = await messages.listMessages(
          { userEmail: user_email, withEmail: with_email || undefined, newestFirst: newest_first },
          { size: page_size ?? DEFAULT_PAGE_SIZE, token: page_token },
        );
        response.json({
          success: true,
          messages: page.items.map(describeMessage),
          next_page_token: page.nextPageToken,
        });
      });

      add('delete', '/messages/:message_id', async (request, response) => {
        const { message_id } = parseInput(messagePath, request.params);
        const { user_email, for_both } = parseInput(deletionQuery, request.query);
        await messages.deleteMessage(user_email, message_id, for_both);
        response.status(204).end();
      });

      add('get', '/conversations', async (request, response) => {
        const { user_email } = parseInput(conversationsQuery, request.query);
        const { page_size, page_token } = parseInput(pageQuery, request.query);
        const page = await messages.listConversationsPage(user_email, { size: page_size, token: page_token });
        response.json({
          success: true,
          conversations: page.items.map(describeConversation),
          next_page_token: page.nextPageToken,
        });
      });

      add('post', '/conversations/read', async (request, response) => {
        const { user_email, with_email } = parseInput(seenConversation, request.body);
        await messages.markConversationRead(user_email, with_email);
        response.json({ success: true, message: 'Conversation marked as read' });
      });

      add('get', '/list_conversations', async (request, response) => {
        const conversations = await messages.listConversations(readEmailQuery(request));
        response.json({ success: true, conversations });
      });
    },
  );
  return [...components, server];
}
