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

export interface FrontendServiceConfig extends ProcessConfig {
  restPort: number;
  grpcPort: number;
  redis: RedisConfig;
  /** `host:port` of NotificationService's gRPC door. */
  notificationServiceAddress: string;
  /** How long one call to another service may take. */
  peerTimeoutMs: number;
  /** How many may watch at once; more are refused. */
  maxWatches: number;
  /** How many watches one user may have at once. */
  maxWatchesPerUser: number;
}

/** Reads the configuration from the environment. @throws {ConfigError} for a value that can't be used. */
export function loadConfig(environment = process.env): FrontendServiceConfig {
  const variables = readEnvironment(
    {
      ...processVariables,
      ...redisVariables,
      REST_PORT: variable.port(8383),
      GRPC_PORT: variable.port(3030),
      NOTIFICATION_SERVICE_ADDRESS: variable.address('notification_service_grpc:9898'),
      PEER_TIMEOUT_MS: variable.durationMs(5_000),
      MAX_WATCHES: variable.count(10_000, 1, 1_000_000),
      MAX_WATCHES_PER_USER: variable.count(20, 1, 10_000),
    },
    environment,
  );
  return {
    ...processConfig(variables),
    restPort: variables.REST_PORT,
    grpcPort: variables.GRPC_PORT,
    redis: redisConfig(variables),
    notificationServiceAddress: variables.NOTIFICATION_SERVICE_ADDRESS,
    peerTimeoutMs: variables.PEER_TIMEOUT_MS,
    maxWatches: variables.MAX_WATCHES,
    maxWatchesPerUser: variables.MAX_WATCHES_PER_USER,
  };
}
