import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRestReady } from '@messaging/service_kit/rest/probe';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSelfSigned, openssl, redisTlsOptions } from '../helpers/certificates.js';
import { runCli } from '../helpers/cli.js';
import { connect } from '../helpers/clients.js';
import { findFreePorts } from '../helpers/free-ports.js';
import { MESSAGE_CHAIN, Suite, SuiteRedis } from '../helpers/suite.js';
import { shownNotifications } from '../helpers/traffic.js';
import { waitFor } from '../helpers/wait-for.js';

const PASSWORD = 'p@ss:word/100%';
const [alice, bob] = ['alice@example.com', 'bob@example.com'];

/** How the tests reach one. */
interface Server {
  port: number;
  password?: string;
  tls?: { rejectUnauthorized: false };
  db?: number;
}

describe.skipIf(openssl === undefined)('with a Redis for each service', () => {
  let folder: string;
  let servers: SuiteRedis[];
  let users: Server, messages: Server, notifications: Server, frontend: Server;
  let suite: Suite;
  let clients: ReturnType<typeof connect>;
  const urls = { users: '', messages: '', notifications: '', frontend: '' };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redis-each-'));
    const files = await makeSelfSigned(folder);
    const ports = await findFreePorts(4);
    const [userPort = 0, messagePort = 0, notificationPort = 0, frontendPort = 0] = ports;
    servers = [
      new SuiteRedis(userPort, join(folder, 'users'), { requirepass: PASSWORD }),
      new SuiteRedis(messagePort, join(folder, 'messages'), redisTlsOptions(messagePort, files)),
      new SuiteRedis(notificationPort, join(folder, 'notifications'), { databases: '1' }),
      new SuiteRedis(frontendPort, join(folder, 'frontend')),
    ];
    for (const server of servers) await server.start();
    urls.users = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${userPort}`;
    urls.messages = `rediss://127.0.0.1:${messagePort}/5`;
    // The only one that this Redis has, as with some that are hosted.
    urls.notifications = `redis://127.0.0.1:${notificationPort}/0`;
    urls.frontend = `redis://127.0.0.1:${frontendPort}`;
    users = { port: userPort, password: PASSWORD };
    messages = { port: messagePort, tls: { rejectUnauthorized: false } };
    notifications = { port: notificationPort };
    frontend = { port: frontendPort };

    suite = await Suite.start({
      redis: 'none',
      processes: MESSAGE_CHAIN,
      environment: { WATCHES_PER_USER: '20', NODE_EXTRA_CA_CERTS: files.certFile },
      processEnvironment: {
        user_service_api: at(urls.users),
        user_service_grpc: at(urls.users),
        message_service_grpc: at(urls.messages),
        notification_service_grpc: at(urls.notifications),
        frontend_service_grpc: { ...at(urls.frontend), LOG_LEVEL: 'info' },
      },
    });
    clients = connect(suite.addresses, suite.redis);
    await suite.waitUntilReady();
  });

  afterAll(async () => {
    clients.close();
    await suite.stop();
    for (const server of servers) await server.stop();
    await rm(folder, { recursive: true });
  });

  test('a message goes all the way, and each Redis has what is its service’s', async () => {
    for (const email of [alice, bob]) {
      const account = { email, password: 'secret', name: 'Name' };
      await clients.rest.users().post('/users').send(account).expect(201);
    }
    const message = { sender_email: alice, receiver_email: bob, content: 'hello' };
    const sent = await clients.grpc.messages.SendMessage({ message, request_id: 'once' });
    expect(sent).toMatchObject({ success: true, message_id: '1' });
    await waitFor(() => shownNotifications(suite).has(`${bob} 1`), { what: 'the notification is shown' });
    // What follows an address goes through all three.
    await clients.rest.users().put(`/users/${bob}`).send({ email: 'bob2@example.com' }).expect(200);
    await waitFor(
      async () =>
        (await clients.grpc.messages.GetMessages({ user_email: 'bob2@example.com' })).messages.length === 1,
      { what: 'the mailbox has followed' },
    );

    // Nothing that another service scans for or writes.
    const own = {
      users: ['database_owner', 'tenures', 'user_index', 'users'],
      messages: ['database_owner', 'mailbox', 'message', 'request', 'user'],
      notifications: ['database_owner', 'notifications', 'subscriptions'],
    };
    const found = {
      users: await keyPrefixes(users, 0),
      messages: await keyPrefixes(messages, 5),
      notifications: await keyPrefixes(notifications, 0),
    };
    for (const service of ['users', 'messages', 'notifications'] as const) {
      const others = Object.values(own).flat();
      expect([...found[service]]).toEqual(expect.arrayContaining(own[service]));
      expect(own[service]).toEqual(
        expect.arrayContaining([...found[service]].filter((prefix) => others.includes(prefix))),
      );
    }
    expect(await keyPrefixes(frontend, 0)).toEqual(new Set());
    expect(await ask(frontend, (redis) => redis.pubsub('CHANNELS'))).toContain('notifications');
  });

  test('a database that another service has is refused', async () => {
    // MessageService and NotificationService both have keys named after who has an address, say.
    const before = await keyPrefixes(notifications, 0);
    const intruder = suite.startProcess('message_service_api', at(urls.notifications));
    await waitFor(() => intruder.output.includes('belongs to notification_service'), {
      what: 'it says what is wrong',
      timeoutMs: 30_000,
    });
    expect(await isRestReady('message_service', suite.addresses.message_service_api, 2_000)).toBe(false);
    expect(await keyPrefixes(notifications, 0)).toEqual(before);
  });

  test('the command line asks the one that is named', async () => {
    await ask({ ...messages, db: 5 }, (redis) => redis.xadd('outbox:notify:dead', '*', 'reason', 'refused'));
    const environment = { ...at(urls.messages), NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') };
    const { stdout, code } = await runCli(suite, ['dead-letters', 'list'], { environment });
    expect(stdout).toMatch(/outbox:notify .*refused/);
    expect(code).toBe(0);
  });
});

/** Instead of what the suite's processes are told otherwise. */
function at(url: string): Record<string, string> {
  return { REDIS_HOST: '', REDIS_PORT: '', REDIS_URL: url };
}

async function ask<Answer>(options: Server, question: (redis: Redis) => Promise<Answer>): Promise<Answer> {
  const redis = new Redis({ host: '127.0.0.1', ...options });
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

/** What the keys begin with, and that there are none in other databases. */
async function keyPrefixes(options: Server, database: number): Promise<Set<string>> {
  return ask({ ...options, db: database }, async (redis) => {
    const keyspace = await redis.info('keyspace');
    expect([...keyspace.matchAll(/^db(\d+)/gm)].filter(([, db]) => Number(db) !== database)).toEqual([]);
    const keys = await redis.keys('*');
    return new Set(keys.map((key) => key.split(':')[0] ?? ''));
  });
}
