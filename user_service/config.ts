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

export interface UserServiceConfig extends ProcessConfig {
  restPort: number;
  grpcPort: number;
  redis: RedisConfig;
  /** `host:port` of NotificationService's gRPC door. */
  notificationServiceAddress: string;
  /** How long one call to another service may take. */
  peerTimeoutMs: number;
  /** The binary logarithm of bcrypt's rounds. */
  bcryptCost: number;
  /** How many passwords are hashed at the same time. */
  bcryptConcurrency: number;
  /** How many more may wait for it; beyond, callers are refused at once. */
  bcryptQueueLength: number;
}

/** Reads the configuration from the environment. @throws {ConfigError} for a value that can't be used. */
export function loadConfig(environment = process.env): UserServiceConfig {
  const variables = readEnvironment(
    {
      ...processVariables,
      ...redisVariables,
      REST_PORT: variable.port(8080),
      GRPC_PORT: variable.port(9797),
      NOTIFICATION_SERVICE_ADDRESS: variable.address('notification_service_grpc:9898'),
      // More than a Redis command may take, so that a peer can say what it lacks.
      PEER_TIMEOUT_MS: variable.durationMs(5_000),
      // OWASP's Password Storage Cheat Sheet asks for at least 10; 12 takes about 250 ms of one core.
      BCRYPT_COST: variable.count(12, 10, 15),
      BCRYPT_CONCURRENCY: variable.count(2, 1, 64),
      BCRYPT_QUEUE_LENGTH: variable.count(64, 1, 10_000),
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
    bcryptCost: variables.BCRYPT_COST,
    bcryptConcurrency: variables.BCRYPT_CONCURRENCY,
    bcryptQueueLength: variables.BCRYPT_QUEUE_LENGTH,
  };
}
