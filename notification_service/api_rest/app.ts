import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { readEmailQuery } from '@messaging/service_kit/rest/email-query';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { NotificationServiceConfig } from '../config.js';
import { createNotificationService } from '../service.js';

/** Creates the REST door of NotificationService and all that it needs, in the order to start. */
export function createRestApp(config: NotificationServiceConfig, logger: Logger): Component[] {
  const { notifications, redis, frontendService, components } = createNotificationService(config, logger);

  const server = new RestServer(
    config,
    logger,
    { name: 'NotificationService', dependencies: [redis], peers: [frontendService] },
    (add) => {
      add('get', '/list_notifications', async (request, response) => {
        const listed = await notifications.listNotifications(readEmailQuery(request));
        response.json({ success: true, notifications: listed });
      });
    },
  );
  return [...components, server];
}
