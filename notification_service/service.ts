import type { AccessControl } from '@messaging/service_kit/access/access-control';
import { createRemoteAccess } from '@messaging/service_kit/access/remote-access';
import type { Component, Dependency } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { Outbox } from '@messaging/service_kit/redis/outbox';
import { FrontendGateway } from './clients/frontend-gateway.js';
import type { NotificationServiceConfig } from './config.js';
import { Departures } from './domain/departures.js';
import { endsWatches, pendingPush } from './domain/notification.js';
import { Notifications } from './domain/notifications.js';
import { DepartureStore } from './store/departure-store.js';
import { NOTIFICATION_DATABASE, NotificationStore, PUSH_STREAM } from './store/notification-store.js';

/** What both doors share. */
export interface NotificationService {
  notifications: Notifications;
  departures: Departures;
  access: AccessControl;
  redis: RedisConnection;
  peers: Dependency[];
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** Wires the domain to its store and its peers. Opens nothing before the components are started. */
export function createNotificationService(
  config: NotificationServiceConfig,
  logger: Logger,
): NotificationService {
  const redis = new RedisConnection(config.redis, NOTIFICATION_DATABASE, logger, 'notification_service');
  const frontend = new FrontendGateway(config.frontendServiceAddress, config.peerTimeoutMs, logger);
  const store = new NotificationStore(redis, config);
  const outbox = new Outbox(redis, logger, {
    stream: PUSH_STREAM,
    entry: pendingPush,
    deliver: async (push, context) => {
      if (endsWatches(push)) return frontend.endWatches(push.ends_watches_of, context);
      const { receiver_email: email, receiver_tenure: tenure = '' } = push;
      // One that was just stored is for whoever has the address; what comes late may find somebody else there.
      const isLate = context.isRepeat && (await store.hasLeft({ email, tenure }));
      if (!isLate) await frontend.push(push, context);
    },
  });
  const { access, ...remote } = createRemoteAccess('notification_service', config, logger);
  return {
    notifications: new Notifications(store, outbox, frontend),
    departures: new Departures(new DepartureStore(redis), outbox),
    access,
    redis,
    peers: [frontend.peer, ...remote.peers],
    components: [redis, ...remote.components, frontend.peer, outbox],
  };
}
