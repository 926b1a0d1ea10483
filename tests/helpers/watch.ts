import { once } from 'node:events';
import { type Client, Metadata, type StatusObject } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { Notification__Output as Notification } from '@messaging/proto_definitions/frontend_service/Notification';
import type { WatchNotificationsRequest } from '@messaging/proto_definitions/frontend_service/WatchNotificationsRequest';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { credentialsFor } from './credentials.js';

const { WatchNotifications } =
  loadProto<ProtoGrpcType>('frontend.proto').frontend_service.FrontendService.service;

/** A watch of notifications: those shown so far, and how it ended. */
export interface NotificationWatch {
  readonly shown: readonly Notification[];
  /** Resolves once it is served, or has ended. */
  readonly established: Promise<unknown>;
  readonly ended: Promise<StatusObject>;
  cancel(): void;
}

/** Watches a user's notifications. @param headers what the call shows besides */
export function watchNotifications(
  channel: Client,
  request: WatchNotificationsRequest,
  headers: Record<string, string> = {},
): NotificationWatch {
  const metadata = new Metadata();
  const credentials = credentialsFor(WatchNotifications.path, request);
  for (const [name, value] of Object.entries({ ...credentials, ...headers })) metadata.set(name, value);
  const stream = channel.makeServerStreamRequest(
    WatchNotifications.path,
    WatchNotifications.requestSerialize,
    WatchNotifications.responseDeserialize,
    request,
    metadata,
  );
  const shown: Notification[] = [];
  stream.on('data', (notification: Notification) => shown.push(notification));
  // How it ended is told by `status`, for errors as well.
  stream.on('error', () => {});
  const ended = new Promise<StatusObject>((resolve) => stream.once('status', resolve));
  return {
    shown,
    established: Promise.race([once(stream, 'metadata'), ended]),
    ended,
    cancel: () => stream.cancel(),
  };
}

/** The ids of what a watch has shown, in that order. */
export function idsShown({ shown }: NotificationWatch): string[] {
  return shown.map(({ id = '' }) => id);
}
