import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';
import { runCli } from '../helpers/cli.js';
import { connect } from '../helpers/clients.js';
import { expectSoon } from '../helpers/expectations.js';
import { Suite } from '../helpers/suite.js';
import { idsShown, watchNotifications } from '../helpers/watch.js';

const run = promisify(execFile);
const SCRIPT = join(ROOT_FOLDER, 'deploy/redis/set-passwords.mjs');
const users = [
  'user_service',
  'message_service',
  'notification_service',
  'frontend_service',
  'operator',
] as const;
type User = (typeof users)[number] | 'tester';

const password = randomBytes(24).toString('hex');
const passwords = Object.fromEntries(users.map((user) => [`${user.toUpperCase()}_REDIS_PASSWORD`, password]));
const as = (user: User) => ({ REDIS_USERNAME: user, REDIS_PASSWORD: password });

let folder: string;
let suite: Suite;
let clients: ReturnType<typeof connect>;
let refusedAtStart: unknown[];
const open: Redis[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'redis-users-'));
  const file = join(folder, 'users.acl');
  const { stdout } = await run(process.execPath, [SCRIPT], { env: passwords });
  // One more, to look at what the others did.
  await writeFile(file, `${stdout}user tester on >${password} ~* &* +@all\n`);
  suite = await Suite.start({
    redisOptions: () => ({ aclfile: file }),
    environment: {
      NOTIFICATIONS_KEPT: '1000',
      LOG_IN_FAILURES: '5',
      SIGN_UPS_PER_HOUR: '100',
      SENDS_PER_MINUTE: '100',
      WATCHES_PER_USER: '5',
    },
    processEnvironment: {
      user_service_api: as('user_service'),
      user_service_grpc: as('user_service'),
      message_service_api: as('message_service'),
      message_service_grpc: as('message_service'),
      notification_service_api: as('notification_service'),
      notification_service_grpc: as('notification_service'),
      frontend_service_grpc: as('frontend_service'),
    },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  refusedAtStart = await readRefusals();
});

afterAll(async () => {
  for (const redis of open) redis.disconnect();
  clients.close();
  await suite.stop();
  await rm(folder, { recursive: true });
});

function redisAs(username: User, db = 0): Redis {
  const redis = new Redis({ port: suite.redis.port, username, password, db });
  redis.on('error', () => {});
  open.push(redis);
  return redis;
}

const refusal = z.object({ reason: z.string(), object: z.string(), username: z.string() });

/** What Redis has refused anyone since it last was asked to forget it. */
async function readRefusals() {
  const log = z.array(z.array(z.unknown())).parse(await redisAs('tester').acl('LOG', '100'));
  const refused = log.map((fields) =>
    refusal.parse(
      Object.fromEntries(fields.flatMap((name, index) => (index % 2 ? [] : [[name, fields[index + 1]]]))),
    ),
  );
  // Whether Redis deletes data when it is full the services would like to know, and do without.
  return refused.filter(({ object }) => object !== 'config|get');
}

test('each service starts without being refused anything', () => {
  expect(refusedAtStart).toEqual([]);
});

test('each service does all that it does as a user of its own', async () => {
  const { rest, grpc } = clients;
  await redisAs('tester').acl('LOG', 'RESET');
  const [alice, bob] = ['alice@example.com', 'bob@example.com'];
  for (const email of [alice, bob]) {
    await rest.users().post('/users').send({ email, password: 'secret', name: 'Name' }).expect(201);
  }
  const watch = watchNotifications(clients.channel('frontend_service_grpc'), { email: bob, after_id: '0' });
  const ids: string[] = [];
  for (const content of ['one', 'two', 'three', 'four']) {
    const message = { sender_email: alice, receiver_email: bob, content };
    const { message_id = '' } = await grpc.messages.SendMessage({ message, request_id: content });
    ids.push(message_id);
  }
  await expectSoon(async () => idsShown(watch)).toEqual(['1', '2', '3', '4']);
  watch.cancel();

  expect((await grpc.messages.GetMessages({ user_email: bob, with_email: alice })).messages).toHaveLength(4);
  expect((await grpc.messages.ListConversations({ user_email: bob })).conversations).toHaveLength(1);
  await grpc.messages.MarkConversationRead({ user_email: bob, with_email: alice });
  await grpc.messages.DeleteMessage({ user_email: alice, message_id: ids[0] ?? '', for_both: true });
  await rest.messages().delete(`/messages/${ids[1]}`).query({ user_email: bob }).expect(204);
  await rest.messages().get('/list_conversations').query({ email: bob }).expect(200);

  expect((await grpc.notifications.ListNotifications({ email: bob })).notifications).toHaveLength(4);
  // More than are kept.
  const many = Array.from({ length: 250 }, () => ({
    sender_email: alice,
    receiver_email: 'carol@example.com',
  }));
  for (let batch = 0; batch < 5; batch++)
    await grpc.notifications.CreateNotifications({ notifications: many });
  await rest.notifications().get('/list_notifications').query({ email: bob }).expect(200);
  await grpc.notifications.MarkNotificationsRead({ email: bob, ids: ['4'] });
  expect(await grpc.notifications.CountUnread({ email: bob })).toMatchObject({ unread: 3 });
  expect(await grpc.notifications.DeleteNotifications({ email: bob, ids: ['3'] })).toEqual({ deleted: 1 });
  expect(await grpc.notifications.DeleteNotifications({ email: bob, all: true })).toEqual({ deleted: 3 });
  await grpc.notifications.UnsubscribeUser({ email: bob });
  expect(await grpc.notifications.CheckUserSubscribed({ email: bob })).toEqual({ subscribed: false });

  await rest.users().put(`/users/${alice}`).send({ email: 'alice2@example.com' }).expect(200);
  await rest.users().post('/login').send({ email: 'alice2@example.com', password: 'secret' }).expect(200);
  await rest.users().get('/users').expect(200);
  await rest.users().delete(`/users/${bob}`).expect(204);
  expect(await readRefusals()).toEqual([]);
});

test('the command line reads the outboxes as the operator', async () => {
  const options = { environment: as('operator') };
  await redisAs('tester').acl('LOG', 'RESET');
  await redisAs('tester', 1).xadd('outbox:notify:dead', '*', 'reason', 'refused');
  expect((await runCli(suite, ['status'], options)).stdout).toMatch(/outbox:notify has given up 1/);
  expect(await runCli(suite, ['dead-letters', 'replay'], options)).toMatchObject({ code: 0 });
  await redisAs('tester', 1).del('outbox:notify:dead');
  // The doors find their peers within seconds of the start.
  await expectSoon(async () => (await runCli(suite, ['status'], options)).code).toBe(0);
  expect(await readRefusals()).toEqual([]);
});

test.each(['user_service', 'message_service', 'notification_service'] as const)(
  '%s may wait for replicas',
  async (user) => {
    const redis = redisAs(user);
    await redis.publish('replicated', '');
    expect(await redis.wait(0, 1)).toBe(0);
    redis.disconnect();
  },
);

test.each([
  ['message_service', 1, 'get', ['users:alice@example.com']],
  ['message_service', 1, 'get', ['notifications:alice@example.com']],
  ['message_service', 1, 'publish', ['notifications', 'x']],
  ['message_service', 1, 'select', ['0']],
  ['message_service', 1, 'flushdb', []],
  ['message_service', 1, 'keys', ['*']],
  ['message_service', 1, 'acl', ['list']],
  ['message_service', 1, 'config', ['get', '*']],
  ['message_service', 1, 'eval', ["return redis.call('GET', 'users:alice@example.com')", '0']],
  ['user_service', 0, 'get', ['message:1']],
  ['user_service', 0, 'xrange', ['outbox:notify', '-', '+']],
  ['notification_service', 2, 'set', ['message:1', 'forged']],
  ['notification_service', 2, 'select', ['1']],
  ['frontend_service', 0, 'get', ['users:alice@example.com']],
  ['frontend_service', 0, 'publish', ['elsewhere', 'x']],
  ['operator', 0, 'get', ['users:alice@example.com']],
  ['operator', 1, 'xrange', ['message:1', '-', '+']],
] as const)('%s in database %i may not %s %j', async (user, database, command, args) => {
  const redis = redisAs(user, database);
  await expect(redis.call(command, ...args)).rejects.toThrow(/NOPERM|can't access/);
  redis.disconnect();
});

test('nobody comes in without a name, or with a wrong password', async () => {
  for (const [credentials, reason] of [
    [{}, /NOAUTH/],
    [{ username: 'message_service', password: 'guess' }, /NOAUTH|WRONGPASS/],
  ] as const) {
    const stranger = new Redis({ port: suite.redis.port, enableReadyCheck: false, ...credentials });
    stranger.on('error', () => {});
    open.push(stranger);
    await expect(stranger.get('users:alice@example.com')).rejects.toThrow(reason);
  }
});

test('a service that is refused its database does not serve, and stores nothing in another', async () => {
  const tester = redisAs('tester');
  await tester.acl('SETUSER', 'message_service', '-select');
  await tester.call('client', 'kill', 'user', 'message_service');
  const health = () =>
    runCli(suite, ['status', '--json'], { environment: as('operator') }).then(({ stdout }) => stdout);
  await expectSoon(health).toContain('message_service_grpc is not serving');
  const message = {
    sender_email: 'alice2@example.com',
    receiver_email: 'alice2@example.com',
    content: 'lost?',
  };
  for (let attempt = 0; attempt < 20; attempt++) {
    await expect(clients.grpc.messages.SendMessage({ message })).rejects.toMatchObject({ code: 14 });
  }
  expect(suite.process('message_service_grpc').output).toMatch(
    /could not connect to Redis.*NOPERM|NOPERM.*could not connect/,
  );
  expect(await tester.exists('message_id_counter', 'message:1', 'outbox:notify')).toBe(0);
  await tester.acl('SETUSER', 'message_service', '+select|1');
  await expectSoon(() =>
    clients.grpc.messages.SendMessage({ message }).then(({ success }) => success, String),
  ).toBe(true);
});

test.each([
  [{}, /USER_SERVICE_REDIS_PASSWORD must be 16 characters/],
  [{ ...passwords, OPERATOR_REDIS_PASSWORD: 'short' }, /OPERATOR_REDIS_PASSWORD must be 16 characters/],
])('a password that is missing or short makes no file', async (env, reason) => {
  await expect(run(process.execPath, [SCRIPT], { env })).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(reason),
  });
});
