import type { AccessControl } from '@messaging/service_kit/access/access-control';
import { createRemoteAccess } from '@messaging/service_kit/access/remote-access';
import type { Component, Dependency } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { Outbox } from '@messaging/service_kit/redis/outbox';
import { RateLimit } from '@messaging/service_kit/redis/rate-limits';
import { NotificationGateway } from './clients/notification-gateway.js';
import { UserGateway } from './clients/user-gateway.js';
import type { MessageServiceConfig } from './config.js';
import { Departures } from './domain/departures.js';
import { pendingNotification } from './domain/message.js';
import { Messages } from './domain/messages.js';
import { Notifier } from './domain/notifier.js';
import { DepartureStore } from './store/departure-store.js';
import { MESSAGE_DATABASE, MessageStore, NOTIFY_STREAM } from './store/message-store.js';

/** What both doors share. */
export interface MessageService {
  messages: Messages;
  departures: Departures;
  access: AccessControl;
  redis: RedisConnection;
  peers: Dependency[];
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** Wires the domain to its store and its peers. Opens nothing before the components are started. */
export function createMessageService(config: MessageServiceConfig, logger: Logger): MessageService {
  const redis = new RedisConnection(config.redis, MESSAGE_DATABASE, logger, 'message_service');
  const users = new UserGateway(config.userServiceAddress, config.peerTimeoutMs, logger);
  const notifications = new NotificationGateway(
    config.notificationServiceAddress,
    config.peerTimeoutMs,
    logger,
  );
  const outbox = new Outbox(redis, logger, {
    stream: NOTIFY_STREAM,
    entry: pendingNotification,
    deliver: (entry, context) => notifications.createNotification(entry, context),
  });
  const notifier = new Notifier(outbox, notifications, config.notifyWaitMs);
  const { sendsPerMinute } = config;
  const sendLimit =
    sendsPerMinute === undefined
      ? undefined
      : new RateLimit(redis, 'send', { count: sendsPerMinute, seconds: 60 }, 'Too many messages');
  const { access, ...remote } = createRemoteAccess('message_service', config, logger);
  return {
    messages: new Messages(new MessageStore(redis), users, notifier, config.times, sendLimit),
    departures: new Departures(new DepartureStore(redis), logger),
    access,
    redis,
    peers: [users.peer, notifications.peer, ...remote.peers],
    components: [redis, ...remote.components, users.peer, notifications.peer, outbox],
  };
}
