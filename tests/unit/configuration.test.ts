import { readFile } from 'node:fs/promises';
import { ConfigError, readEnvironment, variable } from '@messaging/service_kit/config';
import { NODE_FLAGS, suiteProcesses } from '#scripts/suite';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadConfig as loadFrontendConfig } from '../../frontend_service/dist/config.js';
import { loadConfig as loadMessageConfig } from '../../message_service/dist/config.js';
import { loadConfig as loadNotificationConfig } from '../../notification_service/dist/config.js';
import { loadConfig as loadUserConfig } from '../../user_service/dist/config.js';

test('with nothing set, every service finds the others on the Compose network', () => {
  const redis = { host: 'redis', port: 6379, username: undefined, password: undefined, hasTls: false };
  expect(loadUserConfig({})).toMatchObject({
    restPort: 8080,
    grpcPort: 9797,
    redis,
    notificationServiceAddress: 'notification_service_grpc:9898',
  });
  expect(loadMessageConfig({})).toMatchObject({
    restPort: 8181,
    grpcPort: 9696,
    redis,
    userServiceAddress: 'user_service_grpc:9797',
    notificationServiceAddress: 'notification_service_grpc:9898',
  });
  expect(loadNotificationConfig({})).toMatchObject({
    restPort: 8282,
    grpcPort: 9898,
    redis,
    frontendServiceAddress: 'frontend_service_grpc:3030',
  });
  expect(loadFrontendConfig({})).toMatchObject({
    restPort: 8383,
    grpcPort: 3030,
    redis,
    userServiceRestAddress: 'user_service_api:8080',
    messageServiceAddress: 'message_service_grpc:9696',
    notificationServiceAddress: 'notification_service_grpc:9898',
    frontendServiceAddress: 'frontend_service_grpc:3030',
  });
});

test('by default, queues hold the bursts that the contract names', () => {
  const config = loadUserConfig({});
  expect(config.maxInFlight).toBeGreaterThanOrEqual(10_000);
  expect(config.bcryptQueueLength).toBeGreaterThanOrEqual(64);
});

test('a variable that is set to nothing counts as unset', () => {
  expect(readEnvironment({ PORT: variable.port(80) }, { PORT: '' })).toEqual({ PORT: 80 });
});

test.each(['-1', '65536', '80.5', '0x50', ' 80', 'tcp://10.0.0.1:6379'])('%j is no port', (value) => {
  expect(() => readEnvironment({ PORT: variable.port(80) }, { PORT: value })).toThrowError(
    new ConfigError(
      `PORT is ${JSON.stringify(value)}: expected a port number from 0 to 65535, for example PORT=80`,
    ),
  );
});

test('a connection to Redis is encrypted, and has a name, where that is said', () => {
  expect(loadUserConfig({ REDIS_TLS: 'true', REDIS_USERNAME: 'user_service' }).redis).toMatchObject({
    hasTls: true,
    username: 'user_service',
  });
  expect(() => loadUserConfig({ REDIS_TLS: 'yes' })).toThrowError(
    new ConfigError('REDIS_TLS is "yes": expected true or false, for example REDIS_TLS=false'),
  );
  expect(() => loadUserConfig({ REDIS_USERNAME: 'a b' })).toThrowError(
    /^REDIS_USERNAME is "a b": expected a name/,
  );
});

test.each([
  ['redis://redis', { host: 'redis', port: 6379, hasTls: false, database: undefined, username: undefined }],
  ['rediss://10.0.0.1:6380/', { host: '10.0.0.1', port: 6380, hasTls: true, database: undefined }],
  ['redis://[::1]:7000/5', { host: '::1', port: 7000, database: 5 }],
  ['redis://:p%40ss%3A%2F%25@redis', { host: 'redis', username: undefined, password: 'p@ss:/%' }],
  ['redis://user_service:secret@redis/0', { username: 'user_service', password: 'secret', database: 0 }],
])('REDIS_URL can be %j', (url, redis) => {
  expect(loadUserConfig({ REDIS_URL: url }).redis).toMatchObject(redis);
});

test.each([
  ['hidden', /^REDIS_URL can not be used: .*begins with redis:/],
  ['http://:hidden@redis:6379', /begins with redis:/],
  ['redis://:hidden@', /user:password@host:port/],
  ['redis://:hidden@redis:65536', /port from 1 to 65535/],
  ['redis://:hidden@redis:0', /port number from 1 to 65535/],
  ['redis://:hidden@redis:six', /user:password@host:port/],
  ['redis://:hidden@redis/five', /number of a database/],
  ['redis://:hid#den@redis', /%40 for @/],
  ['redis://:12?hidden@redis', /%40 for @/],
  ['redis://redis?hidden=true', /%40 for @/],
  ['redis://:hidden%zz@redis', /%25 for % itself/],
  ['redis://hidden@redis', /a password behind the user/],
])('REDIS_URL can not be %j, and it is not said what it is', (url, reason) => {
  const load = () => loadUserConfig({ REDIS_URL: url });
  expect(load).toThrowError(ConfigError);
  expect(load).toThrowError(reason);
  expect(load).toThrowError(/for example REDIS_URL=redis:\/\/user:password@host:6379/);
  expect(load).not.toThrowError(/hidden|hid#den/);
});

test.each(['REDIS_HOST', 'REDIS_PORT', 'REDIS_USERNAME', 'REDIS_PASSWORD', 'REDIS_TLS'])(
  'REDIS_URL goes without %s',
  (name) => {
    const value = { REDIS_PORT: '6379', REDIS_TLS: 'false' }[name] ?? 'hidden';
    const load = () => loadUserConfig({ REDIS_URL: 'redis://:hidden@redis', [name]: value });
    expect(load).toThrowError(new RegExp(`^REDIS_URL and ${name} are both set: .*leave ${name} out`));
    expect(load).not.toThrowError(/hidden/);
  },
);

test('Sentinels tell where Redis is, and nothing else does then', () => {
  const sentinels = { REDIS_SENTINELS: 'one:26379,two:26380', REDIS_MASTER_NAME: 'messages' };
  expect(
    loadUserConfig({ ...sentinels, REDIS_SENTINEL_PASSWORD: 'x', REDIS_PASSWORD: 'y' }).redis,
  ).toMatchObject({
    sentinel: {
      addresses: [
        { host: 'one', port: 26_379 },
        { host: 'two', port: 26_380 },
      ],
      masterName: 'messages',
      password: 'x',
    },
    password: 'y',
  });
  expect(loadUserConfig({}).redis.sentinel).toBeUndefined();
  for (const [more, reason] of [
    [{ REDIS_SENTINELS: 'one' }, /^REDIS_SENTINELS is "one": expected addresses of the form host:port/],
    [{ REDIS_MASTER_NAME: '' }, /^REDIS_SENTINELS is set and REDIS_MASTER_NAME is not/],
    [{ REDIS_SENTINELS: '' }, /^REDIS_MASTER_NAME is set and REDIS_SENTINELS is not/],
    [{ REDIS_HOST: 'redis' }, /^REDIS_SENTINELS and REDIS_HOST are both set/],
    [{ REDIS_URL: 'redis://redis' }, /^REDIS_SENTINELS and REDIS_URL are both set/],
  ] as const) {
    expect(() => loadUserConfig({ ...sentinels, ...more })).toThrowError(reason);
  }
  expect(() => loadUserConfig({ REDIS_SENTINEL_PASSWORD: 'x' })).toThrowError(
    /^REDIS_SENTINEL_PASSWORD is set and REDIS_SENTINELS is not/,
  );
});

test('services have to know each other where callers have to show who they are', () => {
  expect(() => loadUserConfig({ AUTH_MODE: 'required', SERVICE_KEYS: 'keys/services.json' })).toThrowError(
    /^AUTH_MODE is "required" and SERVICE_KEY is not set/,
  );
  expect(() => loadUserConfig({ AUTH_MODE: 'required', SERVICE_KEY: 'keys/x.json' })).toThrowError(
    /^AUTH_MODE is "required" and SERVICE_KEYS is not set/,
  );
  const keys = { SERVICE_KEY: 'keys/x.json', SERVICE_KEYS: 'keys/services.json' };
  expect(loadUserConfig({ AUTH_MODE: 'required', ...keys }).minPasswordLength).toBe(8);
  expect(loadUserConfig({ AUTH_MODE: 'open' }).minPasswordLength).toBe(1);
});

test.each(['here:0', 'here:65536', 'here', '10.0.0.1:80,there:80', ':80'])('%j is no address', (value) => {
  expect(() => readEnvironment({ PEER: variable.addresses('there:80') }, { PEER: value })).toThrowError(
    /^PEER is .*: expected an address of the form host:port, for example PEER=there:80$/,
  );
});

test.each([...new Set(suiteProcesses.map(({ service }) => service))])(
  'the images of %s tell Node what npm start does',
  async (service) => {
    const dockerfile = await readFile(`${service}/Dockerfile`, 'utf8');
    const [, flags] = /^ENV .*\bNODE_OPTIONS=(\S+)$/m.exec(dockerfile) ?? [];
    expect(flags).toBe(NODE_FLAGS.join(' '));
  },
);

/** The words of the command that starts Redis, wherever it is in a file. */
function findRedisCommand(part: unknown): string[] | undefined {
  if (typeof part === 'string') {
    const words = part.match(/'[^']*'|\S+/g) ?? [];
    return words[0] === 'redis-server' ? words.map((word) => word.replaceAll("'", '')) : undefined;
  }
  if (Array.isArray(part) && part[0] === 'redis-server') return part.map(String);
  for (const inner of Object.values(part ?? {})) {
    const found = findRedisCommand(inner);
    if (found) return found;
  }
  return undefined;
}

test.each([
  'docker-compose.yml',
  'deploy/redis/compose.yml',
  'deploy/swarm/stack.yml',
  'deploy/kubernetes/overlays/small/redis.yaml',
])('%s has Redis write every change to its log, make no snapshots, and forget nothing', async (file) => {
  const documents = parseAllDocuments(await readFile(file, 'utf8')).map((document): unknown =>
    document.toJS(),
  );
  const words = findRedisCommand(documents) ?? [];
  const valueOf = (option: string) => words[words.indexOf(`--${option}`) + 1];
  expect(valueOf('appendonly')).toBe('yes');
  expect(valueOf('appendfsync')).toContain('always');
  expect(valueOf('save')).toBe('');
  expect(valueOf('maxmemory-policy')).toBe('noeviction');
});
