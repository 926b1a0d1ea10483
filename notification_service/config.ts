import {
  type ProcessConfig,
  processConfig,
  processVariables,
  readEnvironment,
  type RedisConfig,
  redisConfig,
  redisVariables,
  variable,
} from '@messaging/service_kit/config';

export interface NotificationServiceConfig extends ProcessConfig {
  restPort: number;
  grpcPort: number;
  redis: RedisConfig;
  /** `host:port` of UserService's REST door, which says which tokens are good. */
  userServiceRestAddress: string;
  /** `host:port` of FrontendService's gRPC door. */
  frontendServiceAddress: string;
  /** How long one call to another service may take. */
  peerTimeoutMs: number;
  /** How many notifications are kept for each user: the newest. */
  notificationsKept: number;
  /** For how long a notification is kept at the most, in days. */
  notificationMaxAgeDays: number;
}

/** Reads the configuration from the environment. @throws {ConfigError} for a value that can't be used. */
export function loadConfig(environment = process.env): NotificationServiceConfig {
  const variables = readEnvironment(
    {
      ...processVariables,
      ...redisVariables,
      REST_PORT: variable.port(8282),
      GRPC_PORT: variable.port(9898),
      USER_SERVICE_REST_ADDRESS: variable.address('user_service_api:8080'),
      FRONTEND_SERVICE_ADDRESS: variable.addresses('frontend_service_grpc:3030'),
      // More than a Redis command may take, so that a peer can say what it lacks.
      PEER_TIMEOUT_MS: variable.durationMs(5_000),
      NOTIFICATIONS_KEPT: variable.count(10_000, 1_000, 10_000_000),
      NOTIFICATION_MAX_AGE_DAYS: variable.count(90, 1, 36_500),
    },
    environment,
  );
  return {
    ...processConfig(variables),
    restPort: variables.REST_PORT,
    grpcPort: variables.GRPC_PORT,
    redis: redisConfig(variables),
    userServiceRestAddress: variables.USER_SERVICE_REST_ADDRESS,
    frontendServiceAddress: variables.FRONTEND_SERVICE_ADDRESS,
    peerTimeoutMs: variables.PEER_TIMEOUT_MS,
    notificationsKept: variables.NOTIFICATIONS_KEPT,
    notificationMaxAgeDays: variables.NOTIFICATION_MAX_AGE_DAYS,
  };
}
