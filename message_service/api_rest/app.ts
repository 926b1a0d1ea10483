import { requiredEmail } from '@messaging/service_kit/email';
import { ServiceError } from '@messaging/service_kit/errors';
import { parseInput } from '@messaging/service_kit/input';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { readEmailQuery } from '@messaging/service_kit/rest/email-query';
import { RestServer } from '@messaging/service_kit/rest/server';
import { z } from 'zod';
import type { MessageServiceConfig } from '../config.js';
import { messageContent, requestId } from '../domain/message.js';
import { createMessageService } from '../service.js';

/** Enough for a message of 64 KiB, however much of it JSON has to escape. */
const MESSAGE_BODY_LIMIT_BYTES = 512 * 1024;

const newMessage = z.object({
  sender_email: requiredEmail,
  receiver_email: requiredEmail,
  content: messageContent,
});
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

      add('get', '/list_conversations', async (request, response) => {
        const conversations = await messages.listConversations(readEmailQuery(request));
        response.json({ success: true, conversations });
      });
    },
  );
  return [...components, server];
}
