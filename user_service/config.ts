import { availableParallelism } from 'node:os';
import {
  callerLimit,
  ConfigError,
  type ProcessConfig,
  processConfig,
  processVariables,
  readEnvironment,
  type RedisConfig,
  redisConfig,
  redisVariables,
  variable,
} from '@messaging/service_kit/config';

const MINUTE_MS = 60 * 1_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

export interface UserServiceConfig extends ProcessConfig {
  restPort: number;
  grpcPort: number;
  redis: RedisConfig;
  /** `host:port` of MessageService's gRPC door. */
  messageServiceAddress: string;
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
  /** How many log-ins to one account may fail before further ones have to wait; undefined for no limit. */
  logInFailures: number | undefined;
  /** The same of one address. */
  logInFailuresPerAddress: number | undefined;
  /** How many sign-ups are accepted from one address within an hour; undefined for no limit. */
  signUpsPerHour: number | undefined;
  /** The proxies whose word is taken for whom they call for. */
  trustedProxies: string[];
  /** The fewest characters of a new password. */
  minPasswordLength: number;
  /** For how long a token is good. */
  tokenLifetimeMs: number;
  /** How long a session goes on without being used. */
  sessionLifetimeMs: number;
  /** The private keys that tokens are signed with; undefined where UserService makes its own. */
  tokenKeysFile: string | undefined;
  /** How long a key of its own is used. */
  tokenKeyUseMs: number;
}

/** Reads the configuration from the environment. @throws {ConfigError} for a value that can't be used. */
export function loadConfig(environment = process.env): UserServiceConfig {
  const variables = readEnvironment(
    {
      ...processVariables,
      ...redisVariables,
      REST_PORT: variable.port(8080),
      GRPC_PORT: variable.port(9797),
      MESSAGE_SERVICE_ADDRESS: variable.addresses('message_service_grpc:9696'),
      NOTIFICATION_SERVICE_ADDRESS: variable.addresses('notification_service_grpc:9898'),
      // More than a Redis command may take, so that a peer can say what it lacks.
      PEER_TIMEOUT_MS: variable.durationMs(5_000),
      // OWASP's Password Storage Cheat Sheet asks for at least 10; 11 takes about 120 ms of one core.
      BCRYPT_COST: variable.count(11, 10, 15),
      // Leaves a core to everything else, and a thread to what else Node does in threads: looking up peers' names.
      BCRYPT_CONCURRENCY: variable.count(Math.min(Math.max(availableParallelism() - 1, 1), 3), 1, 64),
      BCRYPT_QUEUE_LENGTH: variable.count(64, 1, 10_000),
      // Unset: what the mode asks for. The callers of the open one have always been free to choose.
      MIN_PASSWORD_LENGTH: variable.optionalCount(8, 1, 72),
      LOG_IN_FAILURES: variable.optionalCount(5, 0, 1_000_000),
      LOG_IN_FAILURES_PER_ADDRESS: variable.optionalCount(50, 0, 1_000_000),
      SIGN_UPS_PER_HOUR: variable.optionalCount(20, 0, 1_000_000),
      TRUST_PROXY: variable.proxies('loopback,10.0.0.0/8'),
      TOKEN_LIFETIME_MINUTES: variable.count(15, 1, 1_440),
      SESSION_DAYS: variable.count(30, 1, 365),
      TOKEN_KEYS_FILE: variable.file('keys/tokens.json'),
      TOKEN_KEY_DAYS: variable.count(30, 1, 3_650),
      // Node's own variable, with its default: https://nodejs.org/api/cli.html#uv_threadpool_sizesize
      UV_THREADPOOL_SIZE: variable.count(4, 1, 1_024),
    },
    environment,
  );
  if (variables.BCRYPT_CONCURRENCY >= variables.UV_THREADPOOL_SIZE) {
    throw new ConfigError(
      `BCRYPT_CONCURRENCY is "${variables.BCRYPT_CONCURRENCY}": expected less than UV_THREADPOOL_SIZE, which is ` +
        `${variables.UV_THREADPOOL_SIZE}, for example UV_THREADPOOL_SIZE=${2 * variables.BCRYPT_CONCURRENCY}`,
    );
  }
  return {
    ...processConfig(variables),
    restPort: variables.REST_PORT,
    grpcPort: variables.GRPC_PORT,
    redis: redisConfig(variables),
    messageServiceAddress: variables.MESSAGE_SERVICE_ADDRESS,
    notificationServiceAddress: variables.NOTIFICATION_SERVICE_ADDRESS,
    peerTimeoutMs: variables.PEER_TIMEOUT_MS,
    bcryptCost: variables.BCRYPT_COST,
    bcryptConcurrency: variables.BCRYPT_CONCURRENCY,
    bcryptQueueLength: variables.BCRYPT_QUEUE_LENGTH,
    logInFailures: callerLimit(variables, variables.LOG_IN_FAILURES, 5),
    logInFailuresPerAddress: callerLimit(variables, variables.LOG_IN_FAILURES_PER_ADDRESS, 50),
    signUpsPerHour: callerLimit(variables, variables.SIGN_UPS_PER_HOUR, 20),
    trustedProxies: variables.TRUST_PROXY,
    minPasswordLength: variables.MIN_PASSWORD_LENGTH ?? (variables.AUTH_MODE === 'required' ? 8 : 1),
    tokenLifetimeMs: variables.TOKEN_LIFETIME_MINUTES * MINUTE_MS,
    sessionLifetimeMs: variables.SESSION_DAYS * DAY_MS,
    tokenKeysFile: variables.TOKEN_KEYS_FILE,
    tokenKeyUseMs: variables.TOKEN_KEY_DAYS * DAY_MS,
  };
}
