import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { FrontendServiceHandlers } from '@messaging/proto_definitions/frontend_service/FrontendService';
import { onlyServices, ownerOf } from '@messaging/service_kit/access/rules';
import { optionalEmail, requiredEmail } from '@messaging/service_kit/email';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import { z } from 'zod';
import type { FrontendServiceConfig } from '../config.js';
import { type Notification, notification } from '../domain/notification.js';
import { createFeedService } from '../service.js';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;

const received = notification.extend({
  sender_email: optionalEmail,
  receiver_email: optionalEmail,
  timestamp: z.string().default(''),
  read: z.boolean().default(false),
});
const endRequest = z.object({ email: requiredEmail });
const watchRequest = z.object({
  email: requiredEmail,
  after_id: z
    .string()
    .regex(/^\d{0,15}$/, 'must be the id of a notification, a decimal number')
    .transform((id) => (id === '' ? undefined : Number(id)))
    .optional(),
});

/** Creates the gRPC door of FrontendService and all that it needs, in the order to start. */
export function createGrpcApp(config: FrontendServiceConfig, logger: Logger): Component[] {
  const { feed, access, components } = createFeedService(config, logger);

  const receive = async (shown: Notification, context: RequestContext) => {
    feed.show(shown, context);
    return { success: true };
  };

  const server = new GrpcServer(
    config,
    logger,
    {
      name: 'frontend_service.FrontendService',
      definition: FrontendService.service,
      access,
      dependencies: [],
    },
    ({ unary, stream, serverStream, batch }): FrontendServiceHandlers => {
      const onlyNotificationService = onlyServices('notification_service');
      const receiveBatch = batch('notifications', received, onlyNotificationService, receive);
      return {
        ReceiveNotification: unary(received, onlyNotificationService, receive),
        ReceiveNotifications: unary(...receiveBatch),
        ReceiveNotificationsStream: stream(...receiveBatch),

        WatchNotifications: serverStream(
          watchRequest,
          ownerOf(({ email }) => email, 'frontend_service'),
          ({ email, after_id }, signal) => feed.watch(email, after_id, signal),
        ),

        EndWatches: unary(endRequest, onlyNotificationService, async ({ email }) => {
          await feed.endWatches(email);
          return { success: true };
        }),
      };
    },
  );
  return [...components, server];
}
