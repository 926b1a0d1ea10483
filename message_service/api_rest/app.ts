import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { readEmailQuery } from '@messaging/service_kit/rest/email-query';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { MessageServiceConfig } from '../config.js';
import { createMessageService } from '../service.js';

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
      add('get', '/list_conversations', async (request, response) => {
        const conversations = await messages.listConversations(readEmailQuery(request));
        response.json({ success: true, conversations });
      });
    },
  );
  return [...components, server];
}
