import {
  callerLimit,
  type ProcessConfig,
  processConfig,
  processVariables,
  readEnvironment,
  type RedisConfig,
  redisConfig,
  redisVariables,
  variable,
} from '@messaging/service_kit/config';
import type { MessageTimes } from './domain/messages.js';

export interface MessageServiceConfig extends ProcessConfig {
  restPort: number;
  grpcPort: number;
  redis: RedisConfig;
  /** `host:port` of UserService's REST door, which says which tokens are good. */
  userServiceRestAddress: string;
  /** `host:port` of UserService's gRPC door. */
  userServiceAddress: string;
  /** `host:port` of NotificationService's gRPC door. */
  notificationServiceAddress: string;
  /** How long one call to another service may take. */
  peerTimeoutMs: number;
  /** How long a send waits for the notification once the message is stored. */
  notifyWaitMs: number;
  /** How many messages one user may send within a minute; undefined for no limit. */
  sendsPerMinute: number | undefined;
  /** For how long messages can be deleted, and are kept. */
  times: MessageTimes;
}

/** Reads the configuration from the environment. @throws {ConfigError} for a value that can't be used. */
export function loadConfig(environment = process.env): MessageServiceConfig {
  const variables = readEnvironment(
    {
      ...processVariables,
      ...redisVariables,
      REST_PORT: variable.port(8181),
      GRPC_PORT: variable.port(9696),
      USER_SERVICE_REST_ADDRESS: variable.address('user_service_api:8080'),
      USER_SERVICE_ADDRESS: variable.addresses('user_service_grpc:9797'),
      NOTIFICATION_SERVICE_ADDRESS: variable.addresses('notification_service_grpc:9898'),
      // More than a Redis command may take, so that a peer can say what it lacks.
      PEER_TIMEOUT_MS: variable.durationMs(5_000),
      NOTIFY_WAIT_MS: variable.durationMs(500),
      SENDS_PER_MINUTE: variable.optionalCount(120, 0, 1_000_000),
      DELETE_FOR_BOTH_MINUTES: variable.count(60, 0, 525_600),
      MESSAGE_MAX_AGE_DAYS: variable.count(0, 0, 36_500),
    },
    environment,
  );
  return {
    ...processConfig(variables),
    restPort: variables.REST_PORT,
    grpcPort: variables.GRPC_PORT,
    redis: redisConfig(variables),
    userServiceRestAddress: variables.USER_SERVICE_REST_ADDRESS,
    userServiceAddress: variables.USER_SERVICE_ADDRESS,
    notificationServiceAddress: variables.NOTIFICATION_SERVICE_ADDRESS,
    peerTimeoutMs: variables.PEER_TIMEOUT_MS,
    notifyWaitMs: variables.NOTIFY_WAIT_MS,
    sendsPerMinute: callerLimit(variables, variables.SENDS_PER_MINUTE, 120),
    times: {
      deleteForBothMinutes: variables.DELETE_FOR_BOTH_MINUTES,
      maxAgeDays: variables.MESSAGE_MAX_AGE_DAYS,
    },
  };
}
