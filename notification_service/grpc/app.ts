import type { ProtoGrpcType } from '@messaging/proto_definitions/notification';
import type { NotificationServiceHandlers } from '@messaging/proto_definitions/notification_service/NotificationService';
import { optionalEmail, optionalRecordedEmail, recordedEmail } from '@messaging/service_kit/email';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { z } from 'zod';
import type { NotificationServiceConfig } from '../config.js';
import { createNotificationService } from '../service.js';

const { NotificationService } = loadProto<ProtoGrpcType>('notification.proto').notification_service;

const newNotification = z.object({
  sender_email: optionalRecordedEmail,
  receiver_email: recordedEmail,
  message_id: z.string().max(128, 'must be at most 128 characters').optional(),
});
const userQuery = z.object({ email: optionalEmail });
const subscriber = z.object({ email: recordedEmail });

/** Creates the gRPC door of NotificationService and all that it needs, in the order to start. */
export function createGrpcApp(config: NotificationServiceConfig, logger: Logger): Component[] {
  const { notifications, redis, components } = createNotificationService(config, logger);

  const create = async ({ sender_email, receiver_email, message_id }: z.output<typeof newNotification>) => ({
    success: await notifications.createNotification(sender_email, receiver_email, message_id || undefined),
  });

  const server = new GrpcServer(
    config,
    logger,
    {
      name: 'notification_service.NotificationService',
      definition: NotificationService.service,
      dependencies: [redis],
    },
    ({ unary, stream, batch }): NotificationServiceHandlers => {
      const createBatch = batch('notifications', newNotification, create);
      return {
        CreateNotification: unary(newNotification, create),
        CreateNotifications: unary(...createBatch),
        CreateNotificationsStream: stream(...createBatch),

        CheckUserSubscribed: unary(userQuery, async ({ email }) => ({
          subscribed: await notifications.isSubscribed(email),
        })),

        SubscribeUser: unary(subscriber, async ({ email }) => {
          await notifications.subscribe(email);
          return { success: true };
        }),

        UnsubscribeUser: unary(subscriber, async ({ email }) => {
          await notifications.unsubscribe(email);
          return { success: true };
        }),
      };
    },
  );
  return [...components, server];
}
