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

export interface FrontendServiceConfig extends ProcessConfig {
  restPort: number;
  grpcPort: number;
  redis: RedisConfig;
  /** `host:port` of UserService's REST door. */
  userServiceRestAddress: string;
  /** `host:port` of MessageService's gRPC door. */
  messageServiceAddress: string;
  /** `host:port` of NotificationService's gRPC door. */
  notificationServiceAddress: string;
  /** `host:port` of FrontendService's own gRPC door. */
  frontendServiceAddress: string;
  /** How long one call to another service may take. */
  peerTimeoutMs: number;
  /** How many may watch at once; more are refused. */
  maxWatches: number;
  /** How many watches one user may have at once at this process. */
  maxWatchesPerUser: number;
  /** How many one user may have at all replicas together; undefined for no limit. */
  watchesPerUser: number | undefined;
  /** The proxies whose word is taken for whom they call for. */
  trustedProxies: string[];
}

/** Reads the configuration from the environment. @throws {ConfigError} for a value that can't be used. */
export function loadConfig(environment = process.env): FrontendServiceConfig {
  const variables = readEnvironment(
    {
      ...processVariables,
      ...redisVariables,
      REST_PORT: variable.port(8383),
      GRPC_PORT: variable.port(3030),
      USER_SERVICE_REST_ADDRESS: variable.address('user_service_api:8080'),
      MESSAGE_SERVICE_ADDRESS: variable.addresses('message_service_grpc:9696'),
      NOTIFICATION_SERVICE_ADDRESS: variable.addresses('notification_service_grpc:9898'),
      FRONTEND_SERVICE_ADDRESS: variable.addresses('frontend_service_grpc:3030'),
      PEER_TIMEOUT_MS: variable.durationMs(5_000),
      // Takes 300 MiB; a container of ours has 512.
      MAX_WATCHES: variable.count(5_000, 1, 1_000_000),
      MAX_WATCHES_PER_USER: variable.count(20, 1, 10_000),
      WATCHES_PER_USER: variable.optionalCount(20, 0, 1_000_000),
      TRUST_PROXY: variable.proxies('loopback,10.0.0.0/8'),
    },
    environment,
  );
  return {
    ...processConfig(variables),
    restPort: variables.REST_PORT,
    grpcPort: variables.GRPC_PORT,
    redis: redisConfig(variables),
    userServiceRestAddress: variables.USER_SERVICE_REST_ADDRESS,
    messageServiceAddress: variables.MESSAGE_SERVICE_ADDRESS,
    notificationServiceAddress: variables.NOTIFICATION_SERVICE_ADDRESS,
    frontendServiceAddress: variables.FRONTEND_SERVICE_ADDRESS,
    peerTimeoutMs: variables.PEER_TIMEOUT_MS,
    maxWatches: variables.MAX_WATCHES,
    maxWatchesPerUser: variables.MAX_WATCHES_PER_USER,
    watchesPerUser: callerLimit(variables, variables.WATCHES_PER_USER, 20),
    trustedProxies: variables.TRUST_PROXY,
  };
}
