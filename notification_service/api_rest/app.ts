import { recordedEmail, requiredEmail } from '@messaging/service_kit/email';
import { ServiceError } from '@messaging/service_kit/errors';
import { booleanText, parseInput } from '@messaging/service_kit/input';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { pageQuery } from '@messaging/service_kit/paging';
import { readEmailQuery } from '@messaging/service_kit/rest/email-query';
import { RestServer } from '@messaging/service_kit/rest/server';
import { z } from 'zod';
import type { NotificationServiceConfig } from '../config.js';
import {
  chosenNotifications,
  describeNotification,
  notificationId,
  optionalNotificationId,
} from '../domain/notification.js';
import { createNotificationService } from '../service.js';

const userQuery = z.object({ email: requiredEmail });
const subscriber = z.object({ email: recordedEmail });
const notificationsQuery = z.object({
  email: requiredEmail,
  after_id: optionalNotificationId,
  unread_only: booleanText,
});
const notificationPath = z.object({ id: notificationId });
// An empty up_to_id is a mistake rather than unset: without one, all are deleted.
const deletionQuery = z.object({ email: requiredEmail, up_to_id: notificationId.optional() });
const subscription = z.object({ subscribed: z.boolean() });

/** Creates the REST door of NotificationService and all that it needs, in the order to start. */
export function createRestApp(config: NotificationServiceConfig, logger: Logger): Component[] {
  const { notifications, redis, frontendService, components } = createNotificationService(config, logger);

  const server = new RestServer(
    config,
    logger,
    { name: 'NotificationService', dependencies: [redis], peers: [frontendService] },
    (add) => {
      add('get', '/list_notifications', async (request, response) => {
        const listed = await notifications.listNotificationsAsJson(readEmailQuery(request));
        response.type('json').send(`{"success":true,"notifications":${listed}}`);
      });

      add('get', '/notifications', async (request, response) => {
        const { email, after_id, unread_only } = parseInput(notificationsQuery, request.query);
        const { page_size, page_token } = parseInput(pageQuery, request.query);
        const page = await notifications.listNotificationsPage(
          { email, afterId: after_id, unreadOnly: unread_only },
          { size: page_size, token: page_token },
        );
        response.json({
          success: true,
          notifications: page.items.map(describeNotification),
          next_page_token: page.nextPageToken,
          last_id: page.lastId,
        });
      });

      add('post', '/notifications/read', async (request, response) => {
        const { email, ids, up_to_id, all } = parseInput(chosenNotifications, request.body);
        const unread = await notifications.markRead(email, { ids, upToId: up_to_id, all });
        response.json({ success: true, unread });
      });

      add('delete', '/notifications', async (request, response) => {
        const { email, up_to_id } = parseInput(deletionQuery, request.query);
        const choice = { ids: [], upToId: up_to_id, all: up_to_id === undefined };
        response.json({ success: true, deleted: await notifications.deleteNotifications(email, choice) });
      });

      add('delete', '/notifications/:id', async (request, response) => {
        const { id } = parseInput(notificationPath, request.params);
        const { email } = parseInput(userQuery, request.query);
        if ((await notifications.deleteNotifications(email, { ids: [id] })) === 0) {
          throw new ServiceError('notFound', `${email} has no notification ${id}`);
        }
        response.status(204).end();
      });

      add('get', '/notifications/unread_count', async (request, response) => {
        const { email } = parseInput(userQuery, request.query);
        response.json({ success: true, unread: await notifications.countUnread(email) });
      });

      add('get', '/subscriptions/:email', async (request, response) => {
        const { email } = parseInput(subscriber, request.params);
        response.json({ success: true, subscribed: await notifications.isSubscribed(email) });
      });

      add('put', '/subscriptions/:email', async (request, response) => {
        const { email } = parseInput(subscriber, request.params);
        const { subscribed } = parseInput(subscription, request.body);
        await (subscribed ? notifications.subscribe(email) : notifications.unsubscribe(email));
        response.json({ success: true, subscribed });
      });
    },
  );
  return [...components, server];
}
