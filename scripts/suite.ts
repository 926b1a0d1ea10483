import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  processVariables,
  readEnvironment,
  type RedisConfig,
  redisConfig,
  redisVariables,
  type TlsConfig,
  tlsConfig,
  variable,
} from '@messaging/service_kit/config';
import { isGrpcServing } from '@messaging/service_kit/grpc/probe';
import { isRestReady } from '@messaging/service_kit/rest/probe';

/** The folder of the whole repository; this file runs from `scripts/dist`. */
export const ROOT_FOLDER = join(import.meta.dirname, '../..');

/** The eight processes of the suite, named as in docker-compose.yml, with the contract's ports. */
const processes = {
  user_service_grpc: { name: 'user_service_grpc', service: 'user_service', door: 'grpc', port: 9797 },
  user_service_api: { name: 'user_service_api', service: 'user_service', door: 'api_rest', port: 8080 },
  message_service_grpc: {
    name: 'message_service_grpc',
    service: 'message_service',
    door: 'grpc',
    port: 9696,
  },
  message_service_api: {
    name: 'message_service_api',
    service: 'message_service',
    door: 'api_rest',
    port: 8181,
  },
  notification_service_grpc: {
    name: 'notification_service_grpc',
    service: 'notification_service',
    door: 'grpc',
    port: 9898,
  },
  notification_service_api: {
    name: 'notification_service_api',
    service: 'notification_service',
    door: 'api_rest',
    port: 8282,
  },
  frontend_service_grpc: {
    name: 'frontend_service_grpc',
    service: 'frontend_service',
    door: 'grpc',
    port: 3030,
  },
  frontend_service_api: {
    name: 'frontend_service_api',
    service: 'frontend_service',
    door: 'api_rest',
    port: 8383,
  },
} as const;

export type ProcessName = keyof typeof processes;
export type SuiteProcess = (typeof processes)[ProcessName];

export const suiteProcesses: readonly SuiteProcess[] = Object.values(processes);

/** Makes a value for every process. */
export function forEveryProcess<Value>(make: (process: SuiteProcess) => Value): Record<ProcessName, Value> {
  return {
    user_service_grpc: make(processes.user_service_grpc),
    user_service_api: make(processes.user_service_api),
    message_service_grpc: make(processes.message_service_grpc),
    message_service_api: make(processes.message_service_api),
    notification_service_grpc: make(processes.notification_service_grpc),
    notification_service_api: make(processes.notification_service_api),
    frontend_service_grpc: make(processes.frontend_service_grpc),
    frontend_service_api: make(processes.frontend_service_api),
  };
}

/** Where one run of the suite listens, and its Redis. */
export interface Layout {
  /** The host that the processes listen on. */
  host: string;
  ports: Record<ProcessName, number>;
  redis: { host: string; port: number };
  /** Whether every process reads for itself where Redis is, as REDIS_URL or REDIS_SENTINELS say, and `redis` says nothing. */
  isRedisElsewhere?: boolean | undefined;
  /** Where the keys are by which the services know each other, as deploy/tokens/make-keys.mjs makes them. */
  serviceKeysFolder?: string | undefined;
  /** Where their certificates are, as deploy/tls/make-certificates.sh makes them; undefined where nothing is encrypted. */
  tlsFolder?: string | undefined;
  /** Where the first process serves its metrics, and the others on the ports after it; undefined where none does. */
  firstMetricsPort?: number | undefined;
}

/** Reads `.env`, where there is one. What is set already stays as it is. */
export function loadEnvironmentFile(): void {
  const file = join(ROOT_FOLDER, '.env');
  if (existsSync(file)) process.loadEnvFile(file);
}

/**
 * Reads where a suite on this machine listens: on the contract's ports, unless variables say otherwise.
 *
 * @throws {ConfigError} when one of them can't be used.
 */
export function readLayout(environment: NodeJS.ProcessEnv): Layout {
  const local = variable.host('127.0.0.1');
  const { HOST, REDIS_HOST, REDIS_PORT, METRICS_PORT, SERVICE_KEYS_FOLDER, TLS_FOLDER } = readEnvironment(
    {
      HOST: local,
      REDIS_HOST: local,
      REDIS_PORT: fixedPort(6379),
      METRICS_PORT: variable.optionalPort(9464),
      SERVICE_KEYS_FOLDER: variable.file('keys'),
      TLS_FOLDER: variable.file('certificates'),
    },
    environment,
  );
  const ports = forEveryProcess((process) => {
    const name = portVariableOf(process);
    return readEnvironment({ [name]: fixedPort(process.port) }, environment)[name] ?? process.port;
  });
  return {
    host: HOST,
    ports,
    redis: { host: REDIS_HOST, port: REDIS_PORT },
    isRedisElsewhere: Boolean(environment['REDIS_URL'] || environment['REDIS_SENTINELS']),
    firstMetricsPort: METRICS_PORT,
    serviceKeysFolder: SERVICE_KEYS_FOLDER,
    tlsFolder: TLS_FOLDER,
  };
}

/**
 * Reads where the Redis of a suite on this machine is.
 *
 * @throws {ConfigError} when one of the variables can't be used.
 */
export function readRedisConfig(environment: NodeJS.ProcessEnv): RedisConfig {
  return redisConfig(readEnvironment(redisVariables, environment), '127.0.0.1');
}

/** Reads which file has the key by which whoever runs the suite is let in; undefined where there is none. */
export function readOperatorKeyFile(environment: NodeJS.ProcessEnv): string | undefined {
  const { SERVICE_KEY, SERVICE_KEYS_FOLDER } = readEnvironment(
    { SERVICE_KEY: variable.file('keys/operator.json'), SERVICE_KEYS_FOLDER: variable.file('keys') },
    environment,
  );
  return SERVICE_KEY ?? (SERVICE_KEYS_FOLDER && resolve(SERVICE_KEYS_FOLDER, 'operator.json'));
}

/**
 * Reads which certificates whoever runs the suite shows its processes; undefined where nothing is encrypted.
 *
 * @throws {ConfigError} when only some of the variables are set.
 */
export function readOperatorTls(environment: NodeJS.ProcessEnv): TlsConfig | undefined {
  const { TLS_CERT, TLS_KEY, TLS_CA } = processVariables;
  const { TLS_FOLDER, ...files } = readEnvironment(
    { TLS_CERT, TLS_KEY, TLS_CA, TLS_FOLDER: variable.file('certificates') },
    environment,
  );
  return tlsConfig(files) ?? (TLS_FOLDER === undefined ? undefined : tlsFilesOf('operator', TLS_FOLDER));
}

/** The certificates of a service, or of the operator, as deploy/tls/make-certificates.sh names them. */
export function tlsFilesOf(service: string, tlsFolder: string): TlsConfig {
  return {
    certFile: resolve(tlsFolder, service, 'cert.pem'),
    keyFile: resolve(tlsFolder, service, 'key.pem'),
    caFile: resolve(tlsFolder, service, 'ca.pem'),
  };
}

/** A port that others are told of: not one that the system chooses. */
function fixedPort(standard: number) {
  return variable.count(standard, 1, 65_535);
}

/** The file that Node runs for a process, from the root folder. */
export function entryFile({ service, door }: SuiteProcess): string {
  return join(service, 'dist', door, 'main.js');
}

/**
 * What Node is told for each of them, as in the Dockerfiles: how much room young objects get at the most, in MB.
 *
 * @see docs/decisions.md, 37
 */
export const NODE_FLAGS = ['--max-semi-space-size=32'];

/** The variable that gives a process another port than the contract's, such as USER_SERVICE_REST_PORT. */
export function portVariableOf({ service, door }: SuiteProcess): string {
  return `${service.toUpperCase()}_${door === 'grpc' ? 'GRPC' : 'REST'}_PORT`;
}

/** `host:port` under which this machine reaches a process. */
export function addressOf(name: ProcessName, { host, ports }: Layout): string {
  return `${host === '0.0.0.0' ? '127.0.0.1' : host}:${ports[name]}`;
}

/** The environment of a process: its own ports, its Redis and its peers. */
export function environmentOf(process: SuiteProcess, layout: Layout): Record<string, string> {
  const { name, door, service } = process;
  const { firstMetricsPort, serviceKeysFolder, tlsFolder } = layout;
  const tls = tlsFolder === undefined ? undefined : tlsFilesOf(service, tlsFolder);
  return {
    ...(tls && { TLS_CERT: tls.certFile, TLS_KEY: tls.keyFile, TLS_CA: tls.caFile }),
    ...(serviceKeysFolder !== undefined && {
      SERVICE_KEY: resolve(serviceKeysFolder, `${service}.json`),
      SERVICE_KEYS: resolve(serviceKeysFolder, 'services.json'),
    }),
    METRICS_PORT:
      firstMetricsPort === undefined ? '' : String(firstMetricsPort + suiteProcesses.indexOf(process)),
    HOST: layout.host,
    [door === 'grpc' ? 'GRPC_PORT' : 'REST_PORT']: String(layout.ports[name]),
    ...(!layout.isRedisElsewhere && {
      REDIS_HOST: layout.redis.host,
      REDIS_PORT: String(layout.redis.port),
    }),
    ...peerEnvironment((peer) => addressOf(peer, layout)),
  };
}

/**
 * What tells a process where its peers are.
 *
 * @param addressesOf `host:port` of a process; of a gRPC one, those of all its replicas, separated by commas
 */
export function peerEnvironment(addressesOf: (name: ProcessName) => string): Record<string, string> {
  return {
    USER_SERVICE_ADDRESS: addressesOf('user_service_grpc'),
    USER_SERVICE_REST_ADDRESS: addressesOf('user_service_api'),
    MESSAGE_SERVICE_ADDRESS: addressesOf('message_service_grpc'),
    NOTIFICATION_SERVICE_ADDRESS: addressesOf('notification_service_grpc'),
    FRONTEND_SERVICE_ADDRESS: addressesOf('frontend_service_grpc'),
  };
}

/** Asks a process for its health: readiness over REST, the standard health service over gRPC. */
export function isHealthy({ door, service }: SuiteProcess, address: string): Promise<boolean> {
  return door === 'grpc' ? isGrpcServing(service, address, 2_000) : isRestReady(service, address, 2_000);
}
