import type { ProtoGrpcType as FrontendProto } from '@messaging/proto_definitions/frontend';
import type { ProtoGrpcType as MessageProto } from '@messaging/proto_definitions/message';
import type { ProtoGrpcType as NotificationProto } from '@messaging/proto_definitions/notification';
import type { ProtoGrpcType as UserProto } from '@messaging/proto_definitions/user';
import { loadProto } from '@messaging/service_kit/grpc/proto';

/** The suite's own gRPC services. */
export const userService = loadProto<UserProto>('user.proto').user_service.UserService.service;
export const messageService = loadProto<MessageProto>('message.proto').message_service.MessageService.service;
export const notificationService =
  loadProto<NotificationProto>('notification.proto').notification_service.NotificationService.service;
export const frontendService =
  loadProto<FrontendProto>('frontend.proto').frontend_service.FrontendService.service;
