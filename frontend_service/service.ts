import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { NotificationGateway } from './clients/notification-gateway.js';
import type { FrontendServiceConfig } from './config.js';
import { Feed } from './domain/feed.js';
import { Fanout } from './fanout/fanout.js';

/** Pub/sub knows no databases, and nothing is stored. */
const ANY_DATABASE = 0;

/** What the gRPC door serves. */
export interface FrontendService {
  feed: Feed;
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** Wires the domain to its peer and its replicas. Opens nothing before the components are started. */
export function createFrontendService(config: FrontendServiceConfig, logger: Logger): FrontendService {
  const publisher = new RedisConnection(config.redis, ANY_DATABASE, logger);
  const subscriber = new RedisConnection(config.redis, ANY_DATABASE, logger);
  const notifications = new NotificationGateway(
    config.notificationServiceAddress,
    config.peerTimeoutMs,
    logger,
  );
  const fanout = new Fanout(publisher, subscriber, logger);
  return {
    feed: new Feed(logger, notifications, fanout, config),
    components: [publisher, subscriber, notifications.peer, fanout],
  };
}
