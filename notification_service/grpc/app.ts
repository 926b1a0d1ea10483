import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { NotificationServiceHandlers } from '@messaging/proto_definitions/notification_service/NotificationService';
import { onlyServices, ownerOf } from '@messaging/service_kit/access/rules';
import {
  optionalEmail,
  optionalRecordedEmail,
  recordedEmail,
  requiredEmail,
} from '@messaging/service_kit/email';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { pageSize, pageToken } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import { z } from 'zod';
import type { NotificationServiceConfig } from '../config.js';
import { departure, move } from '../domain/departure.js';
import { chosenNotifications, describeNotification, optionalNotificationId } from '../domain/notification.js';
import { createNotificationService } from '../service.js';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

/** Whose an address is, by number; empty where that makes no difference. */
const tenure = z
  .string()
  .regex(/^\d{0,15}$/, 'must be a decimal number')
  .default('');

const newNotification = z.object({
  sender_email: optionalRecordedEmail,
  receiver_email: recordedEmail,
  message_id: z.string().max(128, 'must be at most 128 characters').optional(),
  receiver_tenure: tenure,
});

const listRequest = z.object({
  email: requiredEmail,
  after_id: optionalNotificationId,
  page_size: pageSize,
  page_token: pageToken,
  unread_only: z.boolean().default(false),
});
const userQuery = z.object({ email: optionalEmail });
const requiredUserQuery = z.object({ email: requiredEmail });
const subscriber = z.object({ email: recordedEmail });
const tenant = subscriber.extend({ tenure });

/** Creates the gRPC door of NotificationService and all that it needs, in the order to start. */
export function createGrpcApp(config: NotificationServiceConfig, logger: Logger): Component[] {
  const { notifications, departures, access, redis, components } = createNotificationService(config, logger);

  const create = async (
    { sender_email, receiver_email, receiver_tenure, message_id }: z.output<typeof newNotification>,
    context: RequestContext,
  ) => ({
    success: await notifications.createNotification(
      sender_email,
      { email: receiver_email, tenure: receiver_tenure },
      message_id || undefined,
      context,
    ),
  });

  const server = new GrpcServer(
    config,
    logger,
    {
      name: 'notification_service.NotificationService',
      definition: NotificationService.service,
      access,
      dependencies: [redis],
    },
    ({ unary, stream, batch }): NotificationServiceHandlers => {
      const onlyMessageService = onlyServices('message_service');
      const createBatch = batch('notifications', newNotification, onlyMessageService, create);
      return {
        CreateNotification: unary(newNotification, onlyMessageService, create),
        CreateNotifications: unary(...createBatch),
        CreateNotificationsStream: stream(...createBatch),

        ListNotifications: unary(
          listRequest,
          ownerOf(({ email }) => email, 'user_service', 'frontend_service'),
          async ({ email, after_id, unread_only, page_size, page_token }) => {
            const page = await notifications.listNotificationsPage(
              { email, afterId: after_id, unreadOnly: unread_only },
              { size: page_size, token: page_token },
            );
            return {
              notifications: page.items.map(describeNotification),
              next_page_token: page.nextPageToken,
              last_id: page.lastId,
            };
          },
        ),

        MarkNotificationsRead: unary(
          chosenNotifications,
          ownerOf(({ email }) => email),
          async ({ email, ids, up_to_id, all }) => ({
            unread: await notifications.markRead(email, { ids, upToId: up_to_id, all }),
          }),
        ),

        DeleteNotifications: unary(
          chosenNotifications,
          ownerOf(({ email }) => email),
          async ({ email, ids, up_to_id, all }) => ({
            deleted: await notifications.deleteNotifications(email, { ids, upToId: up_to_id, all }),
          }),
        ),

        CountUnread: unary(
          requiredUserQuery,
          ownerOf(({ email }) => email),
          async ({ email }) => ({
            unread: await notifications.countUnread(email),
          }),
        ),

        CheckUserSubscribed: unary(
          userQuery,
          ownerOf(({ email }) => email, 'user_service'),
          async ({ email }) => ({
            subscribed: await notifications.isSubscribed(email),
          }),
        ),

        SubscribeUser: unary(
          tenant,
          ownerOf(({ email }) => email, 'user_service'),
          async (request) => {
            await notifications.subscribe(request.email, request.tenure);
            return { success: true };
          },
        ),

        UnsubscribeUser: unary(
          subscriber,
          ownerOf(({ email }) => email),
          async ({ email }) => {
            await notifications.unsubscribe(email);
            return { success: true };
          },
        ),

        MoveNotifications: unary(move, onlyServices('user_service'), async (request, context) => ({
          done: await departures.moveNotifications(request, context),
        })),

        EraseNotifications: unary(departure, onlyServices('user_service'), async (request, context) => {
          await departures.eraseNotifications(request, context);
          return { done: true };
        }),
      };
    },
  );
  return [...components, server];
}
