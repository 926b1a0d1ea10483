import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { createLogger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MessageStore } from '../../message_service/dist/store/message-store.js';
import { NotificationStore } from '../../notification_service/dist/store/notification-store.js';
import { connect } from '../helpers/clients.js';
import { expectSoon } from '../helpers/expectations.js';
import { type ProcessName, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';
import { watchNotifications } from '../helpers/watch.js';

const USER_SERVICE = ['user_service_api', 'user_service_grpc'] as const;
const context = { deadline: Infinity };

let suite: Suite;
let clients: ReturnType<typeof connect>;
let connections: RedisConnection[];
let messages: MessageStore;
let notifications: NotificationStore;

beforeAll(async () => {
  suite = await Suite.start({
    processes: [
      ...USER_SERVICE,
      'message_service_grpc',
      'notification_service_grpc',
      'frontend_service_grpc',
    ],
    environment: { REDIS_TIMEOUT_MS: '1000', PEER_TIMEOUT_MS: '1500' },
  });
  clients = connect(suite.addresses, suite.redis);
  // It is killed on purpose.
  for (const database of [0, 1, 2] as const) clients.redis(database).on('error', () => {});
  const { host, port } = suite.redis;
  const config = { host, port, username: undefined, password: undefined, hasTls: false, timeoutMs: 30_000 };
  const logger = await createLogger('tests', 'silent', 'json');
  connections = [1, 2].map((database) => new RedisConnection(config, database, logger));
  const [first, second] = connections;
  if (!first || !second) throw new Error('There are two databases');
  for (const connection of connections) connection.start();
  messages = new MessageStore(first);
  notifications = new NotificationStore(second, { notificationsKept: 100_000, notificationMaxAgeDays: 90 });
  await suite.waitUntilReady();
  await waitFor(() => connections.every(({ isUp }) => isUp), { what: 'Redis is there' });
});

afterAll(async () => {
  clients.close();
  await Promise.all(connections.map((connection) => connection.stop()));
  await suite.stop();
});

const newEmail = (name: string) => `${name}-${randomUUID().slice(0, 8)}@example.com`;
const path = (email: string) => `/users/${encodeURIComponent(email)}`;
const create = (email: string) =>
  clients.rest.users().post('/users').send({ email, password: 'secret', name: 'Somebody' });
const rename = (email: string, next: string) => clients.rest.users().put(path(email)).send({ email: next });
const remove = (email: string) => clients.rest.users().delete(path(email));
const logIn = async (email: string) =>
  (await clients.rest.users().post('/sessions').send({ email, password: 'secret' })).status;

async function signUp(...names: string[]): Promise<string[]> {
  return Promise.all(
    names.map(async (name) => {
      const email = newEmail(name);
      await create(email).expect(201);
      return email;
    }),
  );
}

async function send(sender_email: string, receiver_email: string, content: string): Promise<void> {
  const request = { message: { sender_email, receiver_email, content }, request_id: randomUUID() };
  // After a restart, the services find each other again within a second.
  await expectSoon(async () =>
    clients.grpc.messages.SendMessage(request).catch(() => undefined),
  ).toMatchObject({
    success: true,
  });
}

async function contentsOf(user_email: string): Promise<(string | undefined)[]> {
  const contents: (string | undefined)[] = [];
  let page_token = '';
  do {
    const reply = await clients.grpc.messages.GetMessages({ user_email, page_token });
    contents.push(...reply.messages.map(({ content }) => content));
    page_token = reply.next_page_token ?? '';
  } while (page_token !== '');
  return contents;
}

async function unreadOf(user_email: string): Promise<Record<string, number | undefined>> {
  const { conversations } = await clients.grpc.messages.ListConversations({ user_email });
  return Object.fromEntries(conversations.map(({ email = '', unread }) => [email, unread]));
}

/** The ids of a user's notifications, the newest first, as they are in Redis. */
async function notificationIds(email: string): Promise<number[]> {
  const texts = await clients.redis(2).lrange(`notifications:${email}`, 0, -1);
  return texts.map((text) => {
    expect(text).toContain(`"receiver_email":"${email}"`);
    return Number(/"id":"(\d+)"/.exec(text)?.[1]);
  });
}

const countDown = (from: number) => Array.from({ length: from }, (_, index) => from - index);

/** Stores messages as MessageService does, without having anybody notified of them. */
async function fill(sender: string, receiver: string, count: number): Promise<void> {
  const contents = Array.from({ length: count }, (_, index) => `${index}`);
  await Promise.all(
    contents.map(async (content) =>
      messages.addMessage(
        { senderEmail: sender, receiverEmail: receiver, content, requestId: undefined },
        { sender: '', receiver: '' },
        new Date(),
        context,
      ),
    ),
  );
  await clients.redis(1).del('outbox:notify');
}

async function fillNotifications(sender: string, receiver: string, count: number): Promise<void> {
  const notification = {
    sender_email: sender,
    receiver_email: receiver,
    timestamp: new Date().toISOString(),
    read: false,
    message_id: undefined,
  };
  await Promise.all(
    Array.from({ length: count }, async () => notifications.addUnlessUnsubscribed(notification, '', context)),
  );
  await clients.redis(2).del('outbox:push');
}

/** Whose an address is. */
async function tenureOf(email: string): Promise<string> {
  const { tenures } = await clients.grpc.users.CheckUsersExist({ emails: [email], with_tenures: true });
  return tenures?.numbers[0] ?? '';
}

/** Stores a message as one that was checked before, when the addresses were of these tenures. */
async function store(sender: string, receiver: string, tenures: { sender: string; receiver: string }) {
  const message = { senderEmail: sender, receiverEmail: receiver, content: 'late', requestId: undefined };
  return messages.addMessage(message, tenures, new Date(), context);
}

/** Waits until everything has followed, or gone. */
async function settled(): Promise<void> {
  await waitFor(
    async () => {
      const lengths = await Promise.all([
        clients.redis(0).xlen('outbox:departures'),
        clients.redis(1).xlen('outbox:notify'),
        clients.redis(2).xlen('outbox:push'),
      ]);
      return lengths.every((length) => length === 0);
    },
    { what: 'every outbox is empty', timeoutMs: 30_000 },
  );
  expect(await clients.redis(0).keys('departing:*')).toEqual([]);
  for (const database of [1, 2] as const) expect(await clients.redis(database).keys('departed*')).toEqual([]);
  expect(await clients.redis(0).exists('outbox:departures:dead')).toBe(0);
}

async function expectNothingAt(email: string): Promise<void> {
  for (const database of [0, 1, 2] as const) {
    const keys = await clients.redis(database).keys(`*${email}*`);
    expect(keys.filter((key) => !/^(occupant|moved_to):/.test(key))).toEqual([]);
  }
  expect(await clients.redis(2).hexists('subscriptions', email)).toBe(0);
}

async function kill(...names: ProcessName[]): Promise<void> {
  for (const name of names) suite.process(name).kill('SIGKILL');
  await Promise.all(names.map((name) => suite.process(name).exited));
}

async function restart(...names: ProcessName[]): Promise<void> {
  await Promise.all(names.map((name) => suite.process(name).restart()));
  await suite.waitUntilReady();
}

/** Waits, without pause, until something is half done. */
async function halfDone(isSo: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!(await isSo())) if (Date.now() > giveUpAt) throw new Error('It was never half done');
}

/** Begins to move a large mailbox. Resolves when it is half done. */
async function moveHalf() {
  const [alice = '', bob = ''] = await signUp('alice', 'bob');
  await fill(bob, alice, 4_000);
  const next = newEmail('next');
  const answer = rename(alice, next).catch(() => undefined);
  await halfDone(async () => (await clients.redis(1).zcard(`mailbox:${next}`)) > 100);
  return { alice, bob, next, answer };
}

/** The crash came in the midst of it. */
async function requireHalfDone(email: string): Promise<void> {
  if ((await clients.redis(1).exists(`departed:${email}`)) === 0) throw new Error('It was done before');
}

async function expectMoved({ alice, bob, next }: { alice: string; bob: string; next: string }) {
  await settled();
  expect(await contentsOf(next)).toHaveLength(4_000);
  expect(await contentsOf(bob)).toEqual(await contentsOf(next));
  expect(await unreadOf(next)).toEqual({ [bob]: 4_000 });
  expect(await unreadOf(bob)).toEqual({ [next]: 0 });
  await expectNothingAt(alice);
}

test('UserService is killed while a mailbox moves', async () => {
  const { answer, ...moved } = await moveHalf();
  await kill(...USER_SERVICE);
  await answer;
  await restart(...USER_SERVICE);
  await expectMoved(moved);
});

test.each([
  {
    what: 'MessageService',
    crash: () => kill('message_service_grpc'),
    recover: async (alice: string) => {
      await requireHalfDone(alice);
      await restart('message_service_grpc');
    },
  },
  {
    what: 'Redis',
    crash: () => suite.redis.kill(),
    recover: async (alice: string) => {
      await suite.redis.start();
      await requireHalfDone(alice);
      await suite.waitUntilReady();
    },
  },
])('$what is killed while a mailbox moves', async ({ crash, recover }) => {
  const { answer, ...moved } = await moveHalf();
  await crash();
  await answer;
  await recover(moved.alice);
  await expectMoved(moved);
});

test('MessageService is killed while a mailbox is erased', async () => {
  const [alice = '', bob = ''] = await signUp('alice', 'bob');
  await fill(bob, alice, 4_000);
  const answer = remove(alice).then((given) => given);
  await halfDone(async () => {
    const left = await clients.redis(1).keys(`departed_mailbox:${alice}:*`);
    return left[0] !== undefined && (await clients.redis(1).zcard(left[0])) < 3_900;
  });
  await kill('message_service_grpc');
  expect((await answer).status).toBe(204);
  expect(await clients.redis(1).exists(`departed:${alice}`)).toBe(1);
  await restart('message_service_grpc');
  await settled();
  expect(await contentsOf(alice)).toEqual([]);
  expect(await contentsOf(bob)).toHaveLength(4_000);
  expect((await remove(bob)).status).toBe(204);
  await settled();
  await expectNothingAt(alice);
  await expectNothingAt(bob);
});

test('NotificationService is killed while notifications move', async () => {
  const [alice = '', bob = ''] = await signUp('alice', 'bob');
  await fillNotifications(bob, alice, 10_000);
  const next = newEmail('next');
  const answer = rename(alice, next).then((given) => given);
  await halfDone(async () => (await clients.redis(2).llen(`notifications:${next}`)) > 0);
  await kill('notification_service_grpc');
  expect((await answer).status).toBe(200);
  expect(await clients.redis(2).exists(`departed:${alice}`)).toBe(1);
  await restart('notification_service_grpc');
  await settled();
  expect(await notificationIds(next)).toEqual(countDown(10_000));
  expect(await clients.grpc.notifications.CountUnread({ email: next })).toEqual({ unread: 10_000 });
  await expectNothingAt(alice);
});

test('addresses change hands while the others are away, and UserService is killed: each gets what is theirs', async () => {
  const [alice = '', bob = '', carol = ''] = await signUp('alice', 'bob', 'carol');
  await send(alice, bob, 'from alice');
  await send(bob, alice, 'to alice');
  await send(carol, bob, 'from carol');
  await clients.grpc.notifications.UnsubscribeUser({ email: alice });
  await settled();
  const watch = watchNotifications(clients.channel('frontend_service_grpc'), { email: alice });
  await watch.established;
  // This message is stored, and its receiver to be notified, as the others go.
  await kill('notification_service_grpc');
  await send(bob, alice, 'late for alice');
  await kill('message_service_grpc');
  const [second, third] = [newEmail('second'), newEmail('third')];
  // From one to the next, and the addresses that are left are taken at once: one of them twice.
  await rename(alice, second).expect(200);
  await create(alice).expect(201);
  await rename(second, third).expect(200);
  await create(second).expect(201);
  await remove(alice).expect(204);
  await create(alice).expect(201);
  await remove(carol).expect(204);
  // Whoever has an address now is not let in while it may hold what is another's.
  expect(await logIn(alice)).toBe(503);
  expect(await logIn(second)).toBe(503);
  expect(await logIn(third)).toBe(201);
  expect((await clients.rest.users().get(`${path(third)}/export`)).status).toBe(503);

  await kill(...USER_SERVICE);
  await restart(...USER_SERVICE, 'message_service_grpc', 'notification_service_grpc');
  await settled();
  expect(await contentsOf(third)).toEqual(['from alice', 'to alice', 'late for alice']);
  expect(await unreadOf(third)).toEqual({ [bob]: 2 });
  expect(await contentsOf(bob)).toEqual(['from alice', 'to alice', 'from carol', 'late for alice']);
  expect(await contentsOf(carol)).toEqual([]);
  expect(await notificationIds(third)).toEqual([1]);
  expect(await clients.grpc.notifications.CheckUserSubscribed({ email: third })).toEqual({
    subscribed: false,
  });
  expect(await watch.ended).toMatchObject({ code: status.UNAUTHENTICATED });
  for (const newcomer of [alice, second]) {
    expect(await contentsOf(newcomer)).toEqual([]);
    expect(await notificationIds(newcomer)).toEqual([]);
    expect(await logIn(newcomer)).toBe(201);
    await send(bob, newcomer, 'welcome');
    expect(await unreadOf(newcomer)).toEqual({ [bob]: 1 });
    await expectSoon(async () => notificationIds(newcomer)).toEqual([1]);
  }
});

test('what newcomers get before the old has gone is kept apart from it', async () => {
  const [alice = '', bob = '', carol = ''] = await signUp('alice', 'bob', 'carol');
  await send(bob, alice, 'for the first');
  await send(bob, carol, 'for carol');
  await settled();
  const next = newEmail('next');
  // UserService is killed when it has changed the accounts: the others know of nothing, and work.
  for (const name of ['message_service_grpc', 'notification_service_grpc'] as const) {
    suite.process(name).kill('SIGSTOP');
  }
  const answers = [rename(carol, next), remove(alice)].map(async (answer) => answer.catch(() => undefined));
  await waitFor(async () => (await clients.redis(0).xlen('outbox:departures')) === 2, {
    what: 'both are to follow',
  });
  await kill(...USER_SERVICE);
  await Promise.all(answers);
  const entries = await clients.redis(0).xrange('outbox:departures', '-', '+');
  await clients.redis(0).del('outbox:departures');
  await kill('message_service_grpc', 'notification_service_grpc');
  await restart(...USER_SERVICE, 'message_service_grpc', 'notification_service_grpc');
  for (const email of [alice, carol]) await create(email).expect(201);

  await send(bob, alice, 'for the second');
  await send(carol, bob, 'from the second carol');
  expect(await contentsOf(alice)).toEqual(['for the second']);
  expect(await contentsOf(carol)).toEqual(['from the second carol']);
  expect(await unreadOf(alice)).toEqual({ [bob]: 1 });
  await expectSoon(async () => notificationIds(alice)).toEqual([1]);

  // As if the stream were read only now.
  for (const [, fields] of entries) await clients.redis(0).xadd('outbox:departures', '*', ...fields);
  await settled();
  expect(await contentsOf(alice)).toEqual(['for the second']);
  expect(await contentsOf(carol)).toEqual(['from the second carol']);
  expect(await contentsOf(next)).toEqual(['for carol']);
  expect(await unreadOf(next)).toEqual({ [bob]: 1 });
  expect(await unreadOf(alice)).toEqual({ [bob]: 1 });
  expect(await notificationIds(alice)).toEqual([1]);
  expect(await notificationIds(next)).toEqual([1]);
});

test('a send that was under way when its parties left is refused', async () => {
  const [alice = '', bob = '', carol = ''] = await signUp('alice', 'bob', 'carol');
  const [ofAlice, ofBob, ofCarol] = await Promise.all([alice, bob, carol].map(tenureOf));
  await rename(alice, newEmail('next')).expect(200);
  await remove(bob).expect(204);
  await settled();
  expect(await store(alice, carol, { sender: ofAlice ?? '', receiver: ofCarol ?? '' })).toEqual({
    result: 'unknownSender',
  });
  expect(await store(carol, bob, { sender: ofCarol ?? '', receiver: ofBob ?? '' })).toEqual({
    result: 'unknownReceiver',
  });
  await expectNothingAt(alice);
  await expectNothingAt(bob);
});

test('FrontendService is away: all follows, and the watches end when it is back', async () => {
  const [alice = '', bob = ''] = await signUp('alice', 'bob');
  await kill('frontend_service_grpc');
  await send(bob, alice, 'hello');
  const next = newEmail('next');
  await rename(alice, next).expect(200);
  await waitFor(async () => (await clients.redis(0).xlen('outbox:departures')) === 0, {
    what: 'all has followed',
  });
  expect(await notificationIds(next)).toEqual([1]);
  await restart('frontend_service_grpc');
  await settled();
});

test('an export answers 503 while a peer is away, and breaks off where one goes', async () => {
  const [alice = '', bob = ''] = await signUp('alice', 'bob');
  const content = 'x'.repeat(60_000);
  for (let count = 0; count < 500; count++) {
    await messages.addMessage(
      { senderEmail: alice, receiverEmail: bob, content, requestId: undefined },
      { sender: '', receiver: '' },
      new Date(),
      context,
    );
  }
  await clients.redis(1).del('outbox:notify');
  const answer = await fetch(`http://${suite.addresses.user_service_api}${path(alice)}/export`);
  expect(answer.status).toBe(200);
  // It takes no more than the first piece: the rest waits for it.
  const reader = answer.body?.getReader();
  await reader?.read();
  await kill('message_service_grpc');
  const readAll = async () => {
    for (;;) if ((await reader?.read())?.done) return;
  };
  await expect(readAll()).rejects.toThrow(/terminated|aborted/);
  expect((await clients.rest.users().get(`${path(alice)}/export`)).status).toBe(503);
  await restart('message_service_grpc');
  await expectSoon(async () => (await clients.rest.users().get(`${path(alice)}/export`)).status).toBe(200);
});
