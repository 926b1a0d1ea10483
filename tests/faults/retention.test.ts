import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const KEPT = 1_000;
const email = 'collector@example.com';

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeEach(async () => {
  suite = await Suite.start({
    processes: ['notification_service_grpc', 'notification_service_api'],
    environment: { NOTIFICATIONS_KEPT: String(KEPT), NOTIFICATION_MAX_AGE_DAYS: '30' },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterEach(async () => {
  clients.close();
  await suite.stop();
});

/** Stores notifications of the messages from one number up to another. */
async function notify(first: number, last: number): Promise<void> {
  const all = Array.from({ length: last - first + 1 }, (_, index) => ({
    sender_email: 'sender@example.com',
    receiver_email: email,
    message_id: String(first + index),
  }));
  for (let sent = 0; sent < all.length; sent += 256) {
    const { results } = await clients.grpc.notifications.CreateNotifications({
      notifications: all.slice(sent, sent + 256),
    });
    expect(results.every(({ success }) => success)).toBe(true);
  }
}

function day(daysAgo: number): string {
  return new Date(Date.now() - daysAgo * 24 * 60 * 60 * 1_000).toISOString();
}

/** What Redis holds for the user, in bytes. */
async function measure(): Promise<number> {
  const keys = await clients.redis(2).keys(`*${email}`);
  const sizes = await Promise.all(
    keys.map(async (key) => Number(await clients.redis(2).call('MEMORY', 'USAGE', key, 'SAMPLES', '0'))),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

test('ten times what is kept takes no more room than twice, and what is kept is the newest', async () => {
  await notify(1, 2 * KEPT);
  const twice = await measure();
  await notify(2 * KEPT + 1, 10 * KEPT);
  expect(await measure()).toBeLessThan(1.1 * twice);

  const { body } = await clients.rest.notifications().get('/list_notifications').query({ email });
  const ids: unknown[] = body.notifications.map(({ id }: { id: string }) => Number(id));
  expect(ids).toEqual(Array.from({ length: KEPT }, (_, index) => 10 * KEPT - index));
  const { CountUnread, ListNotifications, MarkNotificationsRead } = clients.grpc.notifications;
  expect(await CountUnread({ email })).toEqual({ unread: KEPT });
  const oldest = await ListNotifications({ email, after_id: '0', page_size: 2 });
  expect(oldest.notifications).toMatchObject([{ id: '9001' }, { id: '9002' }]);
  const unread = await ListNotifications({ email, after_id: '0', page_size: 1, unread_only: true });
  expect(unread.notifications).toMatchObject([{ id: '9001' }]);
  expect(await MarkNotificationsRead({ email, ids: ['1', '9001'] })).toEqual({ unread: KEPT - 1 });
  // Known again are the messages whose notifications are kept.
  expect(await clients.redis(2).hlen(`notified_messages:${email}`)).toBe(KEPT);
  // One that is too many takes one with it, not two.
  await notify(10 * KEPT + 1, 10 * KEPT + 1);
  expect(await clients.redis(2).llen(`notifications:${email}`)).toBe(KEPT);
});

test('what is too old goes, two with each that is stored, whoever has stored it', async () => {
  const record = (timestamp: string) =>
    // As the Python original writes it.
    `{"sender_email": "a@b.c", "receiver_email": "${email}", "timestamp": "${timestamp}", "read": false}`;
  const list = `notifications:${email}`;
  const aged = [1, 29, 31, 40, 400].map((daysAgo) => record(day(daysAgo)));
  // What is no date is nobody's to judge.
  await clients.redis(2).rpush(list, record('yesterday'), ...aged);
  await notify(1, 1);
  expect(await clients.redis(2).llen(list)).toBe(5);
  await notify(2, 3);
  const left = await clients.redis(2).lrange(list, 3, -1);
  expect(left.map((text) => JSON.parse(text).timestamp.slice(0, 10))).toEqual(
    ['yesterday', day(1), day(29)].map((timestamp) => timestamp.slice(0, 10)),
  );
});

test('messages are kept for as long as is configured, two of the oldest going with each that is sent', async () => {
  for (const name of ['user_service_grpc', 'user_service_api', 'message_service_grpc'] as const) {
    suite.startProcess(name, { MESSAGE_MAX_AGE_DAYS: '30' });
  }
  await suite.waitUntilReady();
  const [alice, bob] = ['alice@example.com', 'bob@example.com'];
  for (const name of [alice, bob]) {
    const account = { email: name, password: 'secret', name };
    await clients.rest.users().post('/users').send(account).expect(201);
  }
  const { SendMessage, GetMessages, ListConversations } = clients.grpc.messages;
  const send = (content: string) =>
    SendMessage({ message: { sender_email: alice, receiver_email: bob, content } });
  for (const content of ['one', 'two', 'three', 'four']) await send(content);
  for (const [id, age] of [31, 400, 29, 1].entries()) {
    const key = `message:${id + 1}`;
    const record = JSON.parse((await clients.redis(1).get(key)) ?? '');
    await clients.redis(1).set(key, JSON.stringify({ ...record, timestamp: day(age) }));
  }
  await send('five');
  const list = async () => {
    const { messages } = await GetMessages({ user_email: bob });
    return messages.map(({ content }) => content);
  };
  await waitFor(async () => (await list()).length === 3, { what: 'the old messages are gone' });
  expect(await list()).toEqual(['three', 'four', 'five']);
  expect(await clients.redis(1).keys('message:*')).toHaveLength(3);
  const { conversations } = await ListConversations({ user_email: bob });
  expect(conversations).toMatchObject([{ email: alice, unread: 3, last_message: { content: 'five' } }]);
});

test('what is trimmed while FrontendService is away is shown all the same, once it is back', async () => {
  await notify(1, 3 * KEPT);
  expect(await clients.redis(2).llen(`notifications:${email}`)).toBe(KEPT);
  const process = suite.startProcess('frontend_service_grpc', { LOG_LEVEL: 'info' });
  const shown = () =>
    [...process.output.matchAll(/"id":"(\d+)","msg":"notification"/g)].map(([, id]) => Number(id));
  await waitFor(() => shown().length >= 3 * KEPT, { what: 'all are shown', timeoutMs: 20_000 });
  expect(shown().toSorted((one, other) => one - other)).toEqual(
    Array.from({ length: 3 * KEPT }, (_, index) => index + 1),
  );
});
