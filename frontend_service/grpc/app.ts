import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { FrontendServiceHandlers } from '@messaging/proto_definitions/frontend_service/FrontendService';
import { optionalEmail } from '@messaging/service_kit/email';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { z } from 'zod';
import type { FrontendServiceConfig } from '../config.js';
import { createFrontendService } from '../service.js';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;

const notification = z.object({
  sender_email: optionalEmail,
  receiver_email: optionalEmail,
  id: z.string().optional(),
});

/** Creates the gRPC door of FrontendService and all that it needs, in the order to start. */
export function createGrpcApp(config: FrontendServiceConfig, logger: Logger): Component[] {
  const { feed, components } = createFrontendService(logger);

  const receive = async ({ sender_email, receiver_email, id }: z.output<typeof notification>) => {
    feed.show({ senderEmail: sender_email, receiverEmail: receiver_email, id });
    return { success: true };
  };

  const server = new GrpcServer(
    config,
    logger,
    { name: 'frontend_service.FrontendService', definition: FrontendService.service, dependencies: [] },
    ({ unary, stream, batch }): FrontendServiceHandlers => {
      const receiveBatch = batch('notifications', notification, receive);
      return {
        ReceiveNotification: unary(notification, receive),
        ReceiveNotifications: unary(...receiveBatch),
        ReceiveNotificationsStream: stream(...receiveBatch),
      };
    },
  );
  return [...components, server];
}
