import { AccessControl } from '@messaging/service_kit/access/access-control';
import { ClientAddresses } from '@messaging/service_kit/access/client-addresses';
import { RemoteAuthority } from '@messaging/service_kit/access/authority';
import { createRemoteAccess } from '@messaging/service_kit/access/remote-access';
import type { Component, Dependency } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { FeedGateway } from './clients/feed-gateway.js';
import { MessageGateway } from './clients/message-gateway.js';
import { NotificationGateway } from './clients/notification-gateway.js';
import { UserGateway } from './clients/user-gateway.js';
import type { FrontendServiceConfig } from './config.js';
import { Feed } from './domain/feed.js';
import { Inbox } from './domain/inbox.js';
import { LiveEvents } from './domain/live-events.js';
import { Sessions } from './domain/sessions.js';
import { Fanout } from './fanout/fanout.js';
import { WatchLeases } from './fanout/watch-leases.js';

/** Pub/sub knows no databases, and nothing is stored. */
const ANY_DATABASE = 0;

/** What the gRPC door serves. */
export interface FeedService {
  feed: Feed;
  access: AccessControl;
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** What the REST door serves. */
export interface InboxService {
  users: UserGateway;
  access: AccessControl;
  clients: ClientAddresses;
  sessions: Sessions;
  inbox: Inbox;
  liveEvents: LiveEvents;
  peers: Dependency[];
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** Wires the feed to its peer and its replicas. Opens nothing before the components are started. */
export function createFeedService(config: FrontendServiceConfig, logger: Logger): FeedService {
  // Nothing is acknowledged here that Redis has to keep.
  const redis = { ...config.redis, waitReplicas: 0 };
  const publisher = new RedisConnection(redis, ANY_DATABASE, logger);
  const subscriber = new RedisConnection(redis, ANY_DATABASE, logger);
  const notifications = new NotificationGateway(
    config.notificationServiceAddress,
    config.peerTimeoutMs,
    logger,
  );
  const fanout = new Fanout(publisher, subscriber, logger);
  const { access, components } = createRemoteAccess('frontend_service', config, logger);
  const { watchesPerUser } = config;
  const leases =
    watchesPerUser === undefined ? undefined : new WatchLeases(publisher, watchesPerUser, logger);
  return {
    feed: new Feed(logger, notifications, fanout, config, leases),
    access,
    components: [
      publisher,
      subscriber,
      ...components,
      notifications.peer,
      fanout,
      ...(leases ? [leases] : []),
    ],
  };
}

/** Wires the inbox to its peers, the feed among them. Opens nothing before the components are started. */
export function createInboxService(config: FrontendServiceConfig, logger: Logger): InboxService {
  const { peerTimeoutMs } = config;
  const users = new UserGateway(config.userServiceRestAddress, peerTimeoutMs, logger);
  const messages = new MessageGateway(config.messageServiceAddress, peerTimeoutMs, logger);
  const notifications = new NotificationGateway(config.notificationServiceAddress, peerTimeoutMs, logger);
  const feed = new FeedGateway(config.frontendServiceAddress, peerTimeoutMs, logger);
  const peers = [users.peer, messages.peer, notifications.peer, feed.peer];
  // Asked in either mode: a session that has ended is refused here.
  const authority = new RemoteAuthority(users.peer, logger);
  const sessions = new Sessions(users, authority);
  const isRequired = config.access.mode === 'required';
  const access = new AccessControl('frontend_service', isRequired ? authority : undefined, logger);
  return {
    users,
    access,
    clients: new ClientAddresses(access, config.trustedProxies),
    sessions,
    inbox: new Inbox(messages, notifications),
    liveEvents: new LiveEvents(feed, notifications, sessions, config, logger),
    peers,
    components: [...peers, authority],
  };
}
