import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { FrontendGateway } from './clients/frontend-gateway.js';
import type { NotificationServiceConfig } from './config.js';
import { Notifications } from './domain/notifications.js';
import { NOTIFICATION_DATABASE, NotificationStore } from './store/notification-store.js';

/** What both doors share. */
export interface NotificationService {
  notifications: Notifications;
  redis: RedisConnection;
  frontendService: FrontendGateway['peer'];
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** Wires the domain to its store and its peers. Opens nothing before the components are started. */
export function createNotificationService(
  config: NotificationServiceConfig,
  logger: Logger,
): NotificationService {
  const redis = new RedisConnection(config.redis, NOTIFICATION_DATABASE, logger);
  const frontend = new FrontendGateway(config.frontendServiceAddress, config.peerTimeoutMs, logger);
  return {
    notifications: new Notifications(new NotificationStore(redis), frontend),
    redis,
    frontendService: frontend.peer,
    components: [redis, frontend.peer],
  };
}
