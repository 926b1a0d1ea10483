import proxyaddr from 'proxy-addr';
import { z } from 'zod';

const REDIS_PORT = 6379;

/** A configuration that can't be used. Its message is one line for the person who set the variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const HOST = /^[\w.:-]+$/;

/** The kinds of environment variable. Each says what it accepts and shows a right value. */
export const variable = {
  /** A TCP port; 0 lets the system choose a free one. */
  port: (standard: number) => number(0, 65_535, 'a port number from 0 to 65535', standard),
  /** The same, where nothing listens unless it is set. */
  optionalPort: (example: number) =>
    wholeNumber(1, 65_535, 'a port number from 1 to 65535', example).optional(),
  /** A host name or IP address. */
  host: (standard: string) =>
    z.string().regex(HOST, expected('a host name or an IP address', standard)).default(standard),
  /** The same, where another variable may say it. */
  optionalHost: (example: string) =>
    z.string().regex(HOST, expected('a host name or an IP address', example)).optional(),
  /** `host:port` of another process. */
  address: (standard: string) =>
    z
      .string()
      .regex(/^[\w.-]+:\d{1,5}$/, expectedAddress(standard))
      .refine(hasPorts, expectedAddress(standard))
      .default(standard),
  /** The same, or, for replicas that share no host name, their IPv4 addresses, separated by commas. */
  addresses: (standard: string) =>
    z
      .string()
      .regex(/^([\w.-]+:\d{1,5}|[\d.]+:\d{1,5}(,[\d.]+:\d{1,5})+)$/, expectedAddress(standard))
      .refine(hasPorts, expectedAddress(standard))
      .default(standard),
  /** `host:port` of processes that stand in for each other; there is no default. */
  optionalAddresses: (example: string) =>
    z
      .string()
      .regex(/^[\w.-]+:\d{1,5}(,[\w.-]+:\d{1,5})*$/, expectedAddresses(example))
      .refine(hasPorts, expectedAddresses(example))
      .transform((list) => list.split(',').map(parseAddress))
      .optional(),
  /** Where something is reached by HTTP; there is no default. */
  url: (example: string) =>
    z
      .string()
      .regex(/^https?:\/\/[\w.:[\]-]+(\/\S*)?$/, expected('an http or https address', example))
      .optional(),
  /** A duration in milliseconds, from 1 ms to 10 minutes. */
  durationMs: (standard: number) => number(1, 600_000, 'a number of milliseconds from 1 to 600000', standard),
  /** A whole number within bounds. */
  count: (standard: number, min: number, max: number) =>
    number(min, max, `a whole number from ${min} to ${max}`, standard),
  /** The same, where it depends on something else what it is unless set. */
  optionalCount: (example: number, min: number, max: number) =>
    wholeNumber(min, max, `a whole number from ${min} to ${max}`, example).optional(),
  /** One of a few words. */
  choice: <const Choices extends readonly [string, ...string[]]>(
    choices: Choices,
    standard: Choices[number],
  ) => z.enum(choices, expected(`one of ${choices.join(', ')}`, standard)).default(standard),
  /** A name that another party chose; there is no default. */
  name: (example: string) => z.string().regex(/^\S+$/, expected('a name without spaces', example)).optional(),
  /** Where a file is; there is no default. */
  file: (example: string) => z.string().min(1, expected('the path of a file', example)).optional(),
  /** Whether something is so. */
  flag: (standard: boolean) => trueOrFalse(standard).default(standard),
  /** The same, where another variable may say it. */
  optionalFlag: (example: boolean) => trueOrFalse(example).optional(),
  /** Proxies, as Express knows them (https://expressjs.com/en/guide/behind-proxies.html); none unless set. */
  proxies: (example: string) =>
    z
      .string()
      .default('')
      .transform((list) => list.split(/[\s,]+/).filter((one) => one !== ''))
      .refine(
        isProxyList,
        expected('addresses, networks, or loopback, linklocal, uniquelocal, separated by commas', example),
      ),
  /** A secret that another party chose: any text. */
  secret: () => z.string().optional(),
};

function isProxyList(proxies: string[]): boolean {
  try {
    proxyaddr.compile(proxies);
    return true;
  } catch {
    return false;
  }
}

function expectedAddress(example: string): string {
  return expected('an address of the form host:port', example);
}

function expectedAddresses(example: string): string {
  return expected('addresses of the form host:port, separated by commas', example);
}

function parseAddress(address: string): Address {
  const [host = '', port] = address.split(':');
  return { host, port: Number(port) };
}

function trueOrFalse(example: boolean) {
  return z
    .enum(['true', 'false'], expected('true or false', String(example)))
    .transform((value) => value === 'true');
}

/** Whether what follows each colon is a port. */
function hasPorts(addresses: string): boolean {
  return addresses.split(',').every((address) => {
    const port = Number(address.split(':')[1]);
    return port >= 1 && port <= 65_535;
  });
}

function number(min: number, max: number, description: string, standard: number) {
  return wholeNumber(min, max, description, standard).default(standard);
}

function wholeNumber(min: number, max: number, description: string, example: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, expected(description, example))
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected(description, example));
}

function expected(description: string, example: string | number): string {
  return JSON.stringify({ description, example });
}

/** What every process reads. */
export const processVariables = {
  HOST: variable.host('0.0.0.0'),
  LOG_LEVEL: variable.choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info'),
  LOG_FORMAT: variable.choice(['json', 'pretty'], 'json'),
  SHUTDOWN_GRACE_MS: variable.durationMs(8_000),
  REQUEST_TIMEOUT_MS: variable.durationMs(10_000),
  MAX_IN_FLIGHT: variable.count(10_000, 1, 1_000_000),
  METRICS_PORT: variable.optionalPort(9464),
  AUTH_MODE: variable.choice(['open', 'required'], 'open'),
  SERVICE_KEY: variable.file('keys/message_service.json'),
  SERVICE_KEYS: variable.file('keys/services.json'),
  TLS_CERT: variable.file('certificates/message_service/cert.pem'),
  TLS_KEY: variable.file('certificates/message_service/key.pem'),
  TLS_CA: variable.file('certificates/message_service/ca.pem'),
  REFLECTION: variable.flag(true),
  // Switches tracing on. OpenTelemetry's SDK reads this and its other variables, all standard, by itself.
  OTEL_EXPORTER_OTLP_ENDPOINT: variable.url('http://localhost:4318'),
  OTEL_EXPORTER_OTLP_PROTOCOL: variable.choice(['http/protobuf', 'http/json'], 'http/protobuf'),
};

/** What every process with a Redis reads. Those that say where it is have no defaults: they exclude each other. */
export const redisVariables = {
  // Checked by hand: whatever is wrong with it, it may hold a password that nobody may read in a log.
  REDIS_URL: variable.secret(),
  REDIS_SENTINELS: variable.optionalAddresses('sentinel1:26379,sentinel2:26379,sentinel3:26379'),
  REDIS_MASTER_NAME: variable.name('messages'),
  REDIS_SENTINEL_USERNAME: variable.name('message_service'),
  REDIS_SENTINEL_PASSWORD: variable.secret(),
  REDIS_HOST: variable.optionalHost('redis'),
  REDIS_PORT: variable.optionalCount(REDIS_PORT, 1, 65_535),
  REDIS_USERNAME: variable.name('message_service'),
  REDIS_PASSWORD: variable.secret(),
  REDIS_TLS: variable.optionalFlag(false),
  REDIS_TIMEOUT_MS: variable.durationMs(3_000),
  REDIS_WAIT_REPLICAS: variable.count(0, 0, 100),
};

type RedisVariables = z.output<z.ZodObject<typeof redisVariables>>;

/** Who is let in. */
export interface AccessConfig {
  /** Whether callers have to show who they are. */
  mode: 'open' | 'required';
  /** The key by which this service shows others which it is. */
  serviceKeyFile: string | undefined;
  /** The keys by which it knows which service is calling. */
  serviceKeysFile: string | undefined;
}

/** Where the certificates are, as PEM. */
export interface TlsConfig {
  /** The certificate of this process, which names its service. */
  certFile: string;
  keyFile: string;
  /** The authorities that others' certificates have to come from. */
  caFile: string;
}

/** The part of the configuration that every process has. */
export interface ProcessConfig {
  access: AccessConfig;
  /** Undefined where nothing is encrypted. */
  tls: TlsConfig | undefined;
  /** Whether a gRPC door tells anyone of its methods. */
  hasReflection: boolean;
  host: string;
  logLevel: string;
  logFormat: 'json' | 'pretty';
  /** How long a stop waits for the work under way. */
  shutdownGraceMs: number;
  /** How long a request may take when its caller sets no deadline. */
  requestTimeoutMs: number;
  /** How many requests one process works on; more are refused at once. */
  maxInFlight: number;
  /** Where the metrics are served besides; undefined where they are not. */
  metricsPort: number | undefined;
  /** How spans are written, where there is somewhere to hand them over to; undefined while tracing is off. */
  traceProtocol: 'http/protobuf' | 'http/json' | undefined;
}

/** Where something listens. */
export interface Address {
  host: string;
  port: number;
}

/** Who tells which Redis is the primary. */
export interface SentinelConfig {
  addresses: Address[];
  /** What they call the primary and its replicas. */
  masterName: string;
  username: string | undefined;
  password: string | undefined;
}

/** Where Redis is. */
export interface RedisConfig extends Address {
  /** The database, where it is another than the service's own. */
  database?: number | undefined;
  /** Those that are asked where it is, in place of `host` and `port`. */
  sentinel?: SentinelConfig | undefined;
  /** Whom Redis knows this service as; the user `default` where there is none. */
  username: string | undefined;
  password: string | undefined;
  /** Whether the connection is encrypted, and Redis has to prove who it is. */
  hasTls: boolean;
  /** How long one command may take. */
  timeoutMs: number;
  /** How many replicas a write has to have reached before it is acknowledged; none unless told. */
  waitReplicas?: number;
}

/**
 * Picks the part that every process has out of the variables read.
 *
 * @throws {ConfigError} for variables that do not fit together.
 */
export function processConfig(variables: z.output<z.ZodObject<typeof processVariables>>): ProcessConfig {
  const { AUTH_MODE, SERVICE_KEY, SERVICE_KEYS } = variables;
  const tls = tlsConfig(variables);
  const hasNeitherKey = SERVICE_KEY === undefined && SERVICE_KEYS === undefined;
  const areKnown = tls !== undefined && hasNeitherKey;
  if (AUTH_MODE === 'required' && !areKnown && (SERVICE_KEY === undefined || SERVICE_KEYS === undefined)) {
    const missing = SERVICE_KEY === undefined ? 'SERVICE_KEY' : 'SERVICE_KEYS';
    throw new ConfigError(
      `AUTH_MODE is "required" and ${missing} is not set: services have to know each other, for example by the files that deploy/tokens/make-keys.mjs makes, SERVICE_KEY=keys/message_service.json SERVICE_KEYS=keys/services.json, or by certificates: TLS_CERT, TLS_KEY and TLS_CA`,
    );
  }
  return {
    access: { mode: AUTH_MODE, serviceKeyFile: SERVICE_KEY, serviceKeysFile: SERVICE_KEYS },
    tls,
    hasReflection: variables.REFLECTION,
    host: variables.HOST,
    logLevel: variables.LOG_LEVEL,
    logFormat: variables.LOG_FORMAT,
    shutdownGraceMs: variables.SHUTDOWN_GRACE_MS,
    requestTimeoutMs: variables.REQUEST_TIMEOUT_MS,
    maxInFlight: variables.MAX_IN_FLIGHT,
    metricsPort: variables.METRICS_PORT,
    traceProtocol:
      variables.OTEL_EXPORTER_OTLP_ENDPOINT === undefined ? undefined : variables.OTEL_EXPORTER_OTLP_PROTOCOL,
  };
}

/**
 * Tells what a limit on callers is: undefined where there is none. The callers of the open mode have never met one, so there is
 * none unless it is set.
 *
 * @param set the variable's value; 0 is for none
 * @param standard what it is in the required mode unless set
 */
export function callerLimit(
  { AUTH_MODE }: { AUTH_MODE: AccessConfig['mode'] },
  set: number | undefined,
  standard: number,
): number | undefined {
  return (set ?? (AUTH_MODE === 'required' ? standard : 0)) || undefined;
}

/**
 * Picks where the certificates are out of the variables read; undefined where none is set.
 *
 * @throws {ConfigError} where only some are.
 */
export function tlsConfig(
  variables: Pick<z.output<z.ZodObject<typeof processVariables>>, 'TLS_CERT' | 'TLS_KEY' | 'TLS_CA'>,
): TlsConfig | undefined {
  const { TLS_CERT, TLS_KEY, TLS_CA } = variables;
  if (TLS_CERT !== undefined && TLS_KEY !== undefined && TLS_CA !== undefined) {
    return { certFile: TLS_CERT, keyFile: TLS_KEY, caFile: TLS_CA };
  }
  const names = ['TLS_CERT', 'TLS_KEY', 'TLS_CA'] as const;
  const set = names.find((name) => variables[name] !== undefined);
  if (set === undefined) return undefined;
  const missing = names.find((name) => variables[name] === undefined);
  throw new ConfigError(
    `${set} is set and ${missing} is not: TLS takes all three, for example those that deploy/tls/make-certificates.sh makes, TLS_CERT=certificates/message_service/cert.pem TLS_KEY=certificates/message_service/key.pem TLS_CA=certificates/message_service/ca.pem`,
  );
}

/**
 * Picks where Redis is out of the variables read.
 *
 * @param standardHost where it is unless they say so
 * @throws {ConfigError} for variables that do not fit together, and a REDIS_URL that is none.
 */
export function redisConfig(variables: RedisVariables, standardHost = 'redis'): RedisConfig {
  const { REDIS_URL, REDIS_USERNAME, REDIS_PASSWORD, REDIS_TLS = false } = variables;
  if (REDIS_URL !== undefined)
    forbid(variables, 'REDIS_URL', ['REDIS_USERNAME', 'REDIS_PASSWORD', 'REDIS_TLS']);
  const sentinel = sentinelConfig(variables);
  const named = REDIS_URL === undefined ? undefined : 'REDIS_URL';
  const elsewhere = named ?? (sentinel && 'REDIS_SENTINELS');
  if (elsewhere !== undefined) forbid(variables, elsewhere, ['REDIS_HOST', 'REDIS_PORT']);
  const where =
    REDIS_URL === undefined
      ? {
          host: variables.REDIS_HOST ?? standardHost,
          port: variables.REDIS_PORT ?? REDIS_PORT,
          username: REDIS_USERNAME,
          password: REDIS_PASSWORD,
          hasTls: REDIS_TLS,
        }
      : parseRedisUrl(REDIS_URL);
  return {
    ...where,
    sentinel,
    timeoutMs: variables.REDIS_TIMEOUT_MS,
    waitReplicas: variables.REDIS_WAIT_REPLICAS,
  };
}

function sentinelConfig(variables: RedisVariables): SentinelConfig | undefined {
  const { REDIS_SENTINELS, REDIS_MASTER_NAME } = variables;
  if (REDIS_SENTINELS !== undefined && REDIS_MASTER_NAME !== undefined) {
    forbid(variables, 'REDIS_SENTINELS', ['REDIS_URL']);
    return {
      addresses: REDIS_SENTINELS,
      masterName: REDIS_MASTER_NAME,
      username: variables.REDIS_SENTINEL_USERNAME,
      password: variables.REDIS_SENTINEL_PASSWORD,
    };
  }
  const names = [
    'REDIS_SENTINELS',
    'REDIS_MASTER_NAME',
    'REDIS_SENTINEL_USERNAME',
    'REDIS_SENTINEL_PASSWORD',
  ] as const;
  const set = names.find((name) => variables[name] !== undefined);
  if (set === undefined) return undefined;
  const missing = REDIS_SENTINELS === undefined ? 'REDIS_SENTINELS' : 'REDIS_MASTER_NAME';
  throw new ConfigError(
    `${set} is set and ${missing} is not: a Redis that Sentinel watches over takes both, for example REDIS_SENTINELS=sentinel1:26379,sentinel2:26379,sentinel3:26379 REDIS_MASTER_NAME=messages`,
  );
}

/** @throws {ConfigError} where one of the others is set as well. */
function forbid(variables: RedisVariables, name: string, others: (keyof RedisVariables)[]): void {
  const other = others.find((one) => variables[one] !== undefined);
  if (other === undefined) return;
  const right = name === 'REDIS_URL' ? `for example ${name}=${REDIS_URL_EXAMPLE}` : 'or name no Sentinels';
  throw new ConfigError(
    `${name} and ${other} are both set: ${name} alone says where Redis is, so leave ${other} out, ${right}`,
  );
}

const REDIS_URL_EXAMPLE = 'redis://user:password@host:6379';

function badRedisUrl(what: string): ConfigError {
  return new ConfigError(
    `REDIS_URL can not be used: ${what}, for example REDIS_URL=${REDIS_URL_EXAMPLE} or, encrypted, rediss://`,
  );
}

/** @throws {ConfigError} that says nothing of what the URL holds. */
function parseRedisUrl(text: string) {
  if (!/^rediss?:\/\//.test(text))
    throw badRedisUrl('expected an address that begins with redis:// or rediss://');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // What follows a # or ? that was not written as %23 or %3F is not a part of the password any more.
  if (url === undefined || url.search !== '' || url.hash !== '') {
    throw badRedisUrl(
      'expected user:password@host:port behind redis://, the port from 1 to 65535, and other characters of user and password than letters and digits written as % and two hexadecimal digits (%40 for @)',
    );
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (!HOST.test(host)) throw badRedisUrl('expected a host name or an IP address behind redis:// and the @');
  const port = url.port === '' ? REDIS_PORT : Number(url.port);
  if (port === 0) throw badRedisUrl('expected a port number from 1 to 65535');
  const database = /^\/?(\d{0,4})$/.exec(url.pathname)?.[1];
  if (database === undefined) throw badRedisUrl('expected nothing but the number of a database behind the /');
  const [username, password] = [url.username, url.password].map((part) => {
    try {
      return decodeURIComponent(part) || undefined;
    } catch {
      throw badRedisUrl(
        'expected each % of user and password to be followed by two hexadecimal digits (%25 for % itself)',
      );
    }
  });
  if (username !== undefined && password === undefined)
    throw badRedisUrl('expected a password behind the user');
  return {
    host,
    port,
    database: database === '' ? undefined : Number(database),
    username,
    password,
    hasTls: url.protocol === 'rediss:',
  };
}

/**
 * Reads and checks environment variables. One that is set to nothing counts as unset.
 *
 * @throws {ConfigError} naming the first variable at fault, what is wrong with it, and a right value.
 */
export function readEnvironment<Shape extends z.ZodRawShape>(
  shape: Shape,
  environment: NodeJS.ProcessEnv,
): z.output<z.ZodObject<Shape>> {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const result = z.object(shape).safeParse(set);
  if (result.success) return result.data;

  const issue = result.error.issues[0];
  const name = String(issue?.path[0]);
  const { description, example } = expectation.parse(JSON.parse(issue?.message ?? ''));
  throw new ConfigError(
    `${name} is ${JSON.stringify(environment[name])}: expected ${description}, for example ${name}=${example}`,
  );
}

const expectation = z.object({
  description: z.string(),
  example: z.union([z.string(), z.number()]),
});
