import { ownerOf } from '@messaging/service_kit/access/rules';
import { ServiceError } from '@messaging/service_kit/errors';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { toPageRequest } from '@messaging/service_kit/paging';
import { readEmail } from '@messaging/service_kit/rest/email-input';
import { JsonText } from '@messaging/service_kit/rest/operation';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { NotificationServiceConfig } from '../config.js';
import { describeNotification } from '../domain/notification.js';
import { createNotificationService } from '../service.js';
import * as operations from './operations.js';

/** Creates the REST door of NotificationService and all that it needs, in the order to start. */
export function createRestApp(config: NotificationServiceConfig, logger: Logger): Component[] {
  const { notifications, access, redis, peers, components } = createNotificationService(config, logger);

  const server = new RestServer(
    config,
    logger,
    {
      name: 'NotificationService',
      description:
        'Who is to be told of what: it keeps notifications and subscriptions, and has notifications shown.',
      access,
      dependencies: [redis],
      peers,
    },
    (on) => {
      on(operations.listNotifications, ownerOf(readEmail)).do(async (input) => {
        const listed = await notifications.listNotificationsAsJson(readEmail(input));
        return new JsonText('{"success":true,"notifications":', listed, '}');
      });

      on(
        operations.listNotificationsPage,
        ownerOf(({ query }) => query.email),
      ).do(async ({ query }) => {
        const page = await notifications.listNotificationsPage(
          { email: query.email, afterId: query.after_id, unreadOnly: query.unread_only },
          toPageRequest(query),
        );
        return {
          success: true,
          notifications: page.items.map(describeNotification),
          next_page_token: page.nextPageToken,
          last_id: page.lastId,
        };
      });

      on(
        operations.markNotificationsRead,
        ownerOf(({ body }) => body.email),
      ).do(async ({ body: { email, ids, up_to_id, all } }) => ({
        success: true,
        unread: await notifications.markRead(email, { ids, upToId: up_to_id, all }),
      }));

      on(
        operations.deleteNotifications,
        ownerOf(({ query }) => query.email),
      ).do(async ({ query: { email, up_to_id } }) => {
        const choice = { ids: [], upToId: up_to_id, all: up_to_id === undefined };
        return { success: true, deleted: await notifications.deleteNotifications(email, choice) };
      });

      on(
        operations.deleteNotification,
        ownerOf(({ query }) => query.email),
      ).do(async ({ params: { id }, query: { email } }) => {
        if ((await notifications.deleteNotifications(email, { ids: [id] })) === 0) {
          throw new ServiceError('notFound', `${email} has no notification ${id}`);
        }
      });

      on(
        operations.countUnread,
        ownerOf(({ query }) => query.email),
      ).do(async ({ query }) => ({
        success: true,
        unread: await notifications.countUnread(query.email),
      }));

      on(
        operations.getSubscription,
        ownerOf(({ params }) => params.email),
      ).do(async ({ params }) => ({
        success: true,
        subscribed: await notifications.isSubscribed(params.email),
      }));

      on(
        operations.setSubscription,
        ownerOf(({ params }) => params.email),
      ).do(async ({ params: { email }, body: { subscribed } }) => {
        await (subscribed ? notifications.subscribe(email) : notifications.unsubscribe(email));
        return { success: true, subscribed };
      });
    },
  );
  return [...components, server];
}
