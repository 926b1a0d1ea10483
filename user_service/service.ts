import { AccessControl } from '@messaging/service_kit/access/access-control';
import { ClientAddresses } from '@messaging/service_kit/access/client-addresses';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { Outbox } from '@messaging/service_kit/redis/outbox';
import { FailureDelay, RateLimit } from '@messaging/service_kit/redis/rate-limits';
import type { Component, Dependency } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { MessageGateway } from './clients/message-gateway.js';
import { NotificationGateway } from './clients/notification-gateway.js';
import type { UserServiceConfig } from './config.js';
import { departure } from './domain/departure.js';
import { Departures } from './domain/departures.js';
import { Exports } from './domain/exports.js';
import { Limits } from './domain/limits.js';
import { Passwords } from './domain/passwords.js';
import { Sessions } from './domain/sessions.js';
import { KeysInFile, KeysInStore, TokenKeys } from './domain/token-keys.js';
import { pendingSubscription } from './domain/user.js';
import { Users } from './domain/users.js';
import { SessionStore } from './store/session-store.js';
import { DEPARTURE_STREAM, SUBSCRIBE_STREAM, USER_DATABASE, UserStore } from './store/user-store.js';

/** For so long the end of a session is remembered after its last token: clocks differ, and a token may be signed as it ends. */
const CLOCK_TOLERANCE_MS = 60_000;

/** A hundred guesses a day are what is left; whoever owns the account waits no longer than a quarter of an hour. */
const MAX_ACCOUNT_DELAY_SECONDS = 15 * 60;

/** Many may share an address, who have nothing to do with the one who guesses. */
const MAX_ADDRESS_DELAY_SECONDS = 60;

/** What both doors share. */
export interface UserService {
  users: Users;
  sessions: Sessions;
  exports: Exports;
  access: AccessControl;
  clients: ClientAddresses;
  redis: RedisConnection;
  peers: Dependency[];
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** Wires the domain to its store and its peers. Opens nothing before the components are started. */
export function createUserService(config: UserServiceConfig, logger: Logger): UserService {
  const redis = new RedisConnection(config.redis, USER_DATABASE, logger, 'user_service');
  const messages = new MessageGateway(config.messageServiceAddress, config.peerTimeoutMs, logger);
  const notifications = new NotificationGateway(
    config.notificationServiceAddress,
    config.peerTimeoutMs,
    logger,
  );
  const subscriptions = new Outbox(redis, logger, {
    stream: SUBSCRIBE_STREAM,
    entry: pendingSubscription,
    deliver: (subscription, context) => notifications.subscribe(subscription, context),
  });
  const tokensAroundMs = config.tokenLifetimeMs + CLOCK_TOLERANCE_MS;
  const store = new UserStore(redis, tokensAroundMs);
  const departures = new Departures(store, messages, notifications);
  const departureOutbox = new Outbox(redis, logger, {
    stream: DEPARTURE_STREAM,
    entry: departure,
    deliver: (left, context) => departures.carryOut(left, context),
  });
  const passwords = new Passwords({
    cost: config.bcryptCost,
    concurrency: config.bcryptConcurrency,
    queueLength: config.bcryptQueueLength,
    minLength: config.minPasswordLength,
  });
  const users = new Users(store, passwords, subscriptions, departureOutbox, createLimits(redis, config));
  const sessionStore = new SessionStore(redis, tokensAroundMs);
  const keys =
    config.tokenKeysFile === undefined
      ? new KeysInStore(sessionStore, {
          useForMs: config.tokenKeyUseMs,
          tokenLifetimeMs: config.tokenLifetimeMs,
        })
      : new KeysInFile(config.tokenKeysFile);
  const sessions = new Sessions(sessionStore, new TokenKeys(keys, logger), users, config);
  const isRequired = config.access.mode === 'required';
  const access = new AccessControl('user_service', isRequired ? sessions : undefined, logger);
  return {
    users,
    sessions,
    exports: new Exports(store, messages, notifications),
    access,
    clients: new ClientAddresses(access, config.trustedProxies, 'frontend_service'),
    redis,
    peers: [messages.peer, notifications.peer],
    components: [redis, messages.peer, notifications.peer, passwords, subscriptions, departureOutbox],
  };
}

function createLimits(
  redis: RedisConnection,
  { logInFailures, logInFailuresPerAddress, signUpsPerHour }: UserServiceConfig,
): Limits {
  const failures = (name: string, free: number | undefined, maxSeconds: number) =>
    free === undefined ? undefined : new FailureDelay(redis, name, free, maxSeconds);
  return new Limits({
    accountFailures: failures('log_in:account', logInFailures, MAX_ACCOUNT_DELAY_SECONDS),
    addressFailures: failures('log_in:address', logInFailuresPerAddress, MAX_ADDRESS_DELAY_SECONDS),
    signUps:
      signUpsPerHour === undefined
        ? undefined
        : new RateLimit(redis, 'sign_up', { count: signUpsPerHour, seconds: 3_600 }, 'Too many sign-ups'),
  });
}
