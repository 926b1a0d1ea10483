import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  type Account,
  channel,
  getMessagePages,
  grpc,
  newEmail,
  redis,
  rest,
  sendMessage,
  signUp,
} from '../helpers/clients.js';
import { expectSoon, parseJson } from '../helpers/expectations.js';
import { watchNotifications } from '../helpers/watch.js';

const path = (email: string) => `/users/${encodeURIComponent(email)}`;

/** Changes a user's email, and waits until all has followed. */
async function changeEmail(email: string, next = newEmail('renamed')): Promise<string> {
  expect((await rest.users().put(path(email)).send({ email: next })).status).toBe(200);
  await settled(email);
  return next;
}

async function leave(email: string): Promise<void> {
  expect((await rest.users().delete(path(email))).status).toBe(204);
  await settled(email);
}

/** Signs somebody up again under an address. */
async function takeAddress(email: string): Promise<void> {
  const account = { email, password: 'a new secret', name: 'New' };
  expect((await rest.users().post('/users').send(account)).status).toBe(201);
}

/** In the healthy case all has followed by now: only where the machine is busy it takes longer. */
async function settled(email: string): Promise<void> {
  await expectSoon(async () => redis(0).exists(`departing:${email}`)).toBe(0);
}

const messagesOf = async (user_email: string, with_email = '') =>
  (await getMessagePages({ user_email, with_email })).flat();
const contentsOf = async (user_email: string, with_email = '') =>
  (await messagesOf(user_email, with_email)).map(({ content }) => content);
const conversationsOf = async (user_email: string) =>
  (await grpc.messages.ListConversations({ user_email })).conversations;
const unreadOf = async (user_email: string) =>
  Object.fromEntries((await conversationsOf(user_email)).map(({ email, unread }) => [email, unread]));
const notificationsOf = async (email: string) =>
  (await grpc.notifications.ListNotifications({ email })).notifications;
const isSubscribed = async (email: string) =>
  (await grpc.notifications.CheckUserSubscribed({ email })).subscribed;

/** A user, as tests name one. */
type Party = string | Pick<Account, 'email'>;
const emailOf = (party: Party) => (typeof party === 'string' ? party : party.email);

/** Sends a message. Resolves to its id. */
async function send(from: Party, to: Party, content: string): Promise<string> {
  const reply = await sendMessage(emailOf(from), emailOf(to), content);
  expect(reply).toMatchObject({ success: true });
  return reply.message_id ?? '';
}

/** Every key that has to do with an address, in all databases; none but what keeps late comers away is to be left. */
async function keysOf(email: string): Promise<string[]> {
  const found = await Promise.all(
    ([0, 1, 2] as const).map(async (database) => redis(database).keys(`*${email}*`)),
  );
  return found.flat().filter((key) => !/^(occupant|moved_to):/.test(key));
}

/** What is stored about an address once its user has gone, and the others have nothing of it. */
async function expectNothingLeft(email: string): Promise<void> {
  await expectSoon(() => keysOf(email)).toEqual([]);
  expect(await redis(2).hexists('subscriptions', email)).toBe(0);
}

describe('a changed email', () => {
  it('takes mailbox, conversations, unread counts, notifications and subscription along', async () => {
    const [alice, bob, carol] = await Promise.all([signUp('alice'), signUp('bob'), signUp('carol')]);
    await send(alice, bob, 'one');
    await send(bob, alice, 'two');
    await grpc.messages.MarkConversationRead({ user_email: alice.email, with_email: bob.email });
    await send(bob, alice, 'three');
    await send(carol, alice, 'four');
    await send(alice, alice, 'note');
    await expectSoon(async () => (await notificationsOf(alice.email)).length).toBe(4);
    await grpc.notifications.MarkNotificationsRead({ email: alice.email, ids: ['2'] });
    await grpc.notifications.UnsubscribeUser({ email: alice.email });
    const before = {
      messages: await messagesOf(alice.email),
      notifications: await notificationsOf(alice.email),
    };

    const next = await changeEmail(alice.email);

    const rename = (text: string | undefined) => (text === alice.email ? next : text);
    expect(await messagesOf(next)).toEqual(
      before.messages.map((message) => ({
        ...message,
        sender_email: rename(message.sender_email),
        receiver_email: rename(message.receiver_email),
      })),
    );
    expect(await contentsOf(next, bob.email)).toEqual(['one', 'two', 'three']);
    expect(await contentsOf(bob.email, next)).toEqual(['one', 'two', 'three']);
    expect(await unreadOf(next)).toEqual({ [next]: 0, [carol.email]: 1, [bob.email]: 1 });
    expect(await unreadOf(bob.email)).toEqual({ [next]: 1 });
    expect((await rest.messages().get(`/list_conversations?email=${carol.email}`)).body).toEqual({
      success: true,
      conversations: [next],
    });
    expect(await notificationsOf(next)).toEqual(
      before.notifications.map((notification) => ({ ...notification, receiver_email: next })),
    );
    expect(await grpc.notifications.CountUnread({ email: next })).toEqual({ unread: 3 });
    expect(await isSubscribed(next)).toBe(false);

    expect(await messagesOf(alice.email)).toEqual([]);
    expect(await conversationsOf(alice.email)).toEqual([]);
    await expectNothingLeft(alice.email);
    // What comes goes on where it was.
    await grpc.notifications.SubscribeUser({ email: next });
    await send(bob, next, 'five');
    await expectSoon(async () => (await notificationsOf(next))[0]?.id).toBe('5');
    expect(await unreadOf(next)).toMatchObject({ [bob.email]: 2 });
    expect(await redis(1).hgetall(`conversation:${bob.email}:${next}`)).toMatchObject({ message_count: '3' });
  });

  it('leaves the old address to whoever takes it, who sees and loses nothing', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    await send(alice, bob, 'old');
    await send(bob, alice, 'answer');
    const next = await changeEmail(alice.email);
    await takeAddress(alice.email);
    expect(await messagesOf(alice.email)).toEqual([]);
    await send(alice.email, bob, 'new');
    await send(bob, alice.email, 'hello, newcomer');
    expect(await contentsOf(alice.email)).toEqual(['new', 'hello, newcomer']);
    expect(await contentsOf(next)).toEqual(['old', 'answer']);
    expect(await unreadOf(alice.email)).toEqual({ [bob.email]: 1 });
    expect(await unreadOf(bob.email)).toEqual({ [alice.email]: 1, [next]: 1 });
    await expectSoon(async () => (await notificationsOf(alice.email)).map(({ id }) => id)).toEqual(['1']);
  });

  it('follows a chain of changes, also where they come at once', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    await send(alice, bob, 'one');
    await send(bob, alice, 'two');
    const [second, third] = [newEmail('second'), newEmail('third')];
    const statuses = [
      (await rest.users().put(path(alice.email)).send({ email: second })).status,
      (await rest.users().put(path(second)).send({ email: third })).status,
      (await rest.users().put(path(third)).send({ email: alice.email })).status,
    ];
    expect(statuses).toEqual([200, 200, 200]);
    await expectSoon(async () => contentsOf(alice.email)).toEqual(['one', 'two']);
    await Promise.all([second, third].map(expectNothingLeft));
    expect(await unreadOf(bob.email)).toEqual({ [alice.email]: 1 });
    await expectSoon(async () => (await notificationsOf(alice.email)).length).toBe(1);
  });

  it('merges with what the other has of an earlier life of the address', async () => {
    const [alice, bob, carol] = await Promise.all([signUp('alice'), signUp('bob'), signUp('carol')]);
    await send(carol, bob, 'from an earlier life');
    await send(bob, carol, 'to an earlier life');
    await send(alice, bob, 'mine');
    await send(bob, alice, 'yours');
    await leave(carol.email);
    const next = await changeEmail(alice.email, carol.email);
    expect(await contentsOf(next)).toEqual(['mine', 'yours']);
    expect(await contentsOf(next, bob.email)).toEqual(['mine', 'yours']);
    expect(await contentsOf(bob.email, next)).toEqual([
      'from an earlier life',
      'to an earlier life',
      'mine',
      'yours',
    ]);
    expect(await unreadOf(next)).toEqual({ [bob.email]: 1 });
    expect(await unreadOf(bob.email)).toEqual({ [next]: 2 });
    await grpc.messages.MarkConversationRead({ user_email: next, with_email: bob.email });
    await send(bob, next, 'again');
    expect(await unreadOf(next)).toEqual({ [bob.email]: 1 });
  });

  it('of both parties at once keeps their conversation', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    for (let count = 0; count < 150; count++) await send(alice, bob, `${count}`);
    await send(bob, alice, 'last');
    const next = { alice: newEmail('alice'), bob: newEmail('bob') };
    await Promise.all([changeEmail(alice.email, next.alice), changeEmail(bob.email, next.bob)]);
    expect(await contentsOf(next.alice)).toHaveLength(151);
    expect(await messagesOf(next.bob, next.alice)).toEqual(await messagesOf(next.alice, next.bob));
    expect(await unreadOf(next.bob)).toEqual({ [next.alice]: 150 });
    expect(await unreadOf(next.alice)).toEqual({ [next.bob]: 1 });
    await Promise.all([alice.email, bob.email].map(expectNothingLeft));
  });

  it('takes along what the other has of a conversation that the user has deleted', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    const id = await send(alice, bob, 'regretted');
    await grpc.messages.DeleteMessage({ user_email: alice.email, message_id: id });
    const next = await changeEmail(alice.email);
    expect(await messagesOf(next)).toEqual([]);
    expect(await messagesOf(bob.email, next)).toMatchObject([{ sender_email: next, content: 'regretted' }]);
    await expectNothingLeft(alice.email);
  });

  it('takes the ids of requests along', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    const request = (sender_email: string) => ({
      message: { sender_email, receiver_email: bob.email, content: 'once' },
      request_id: 'one',
    });
    const { message_id } = await grpc.messages.SendMessage(request(alice.email));
    const next = await changeEmail(alice.email);
    await takeAddress(alice.email);
    expect(await grpc.messages.SendMessage(request(next))).toMatchObject({ message_id });
    expect((await grpc.messages.SendMessage(request(alice.email))).message_id).not.toBe(message_id);
  });

  it('ends the watches of the old address, and brings nothing of the new owner', async () => {
    const alice = await signUp('alice');
    const watch = watchNotifications(channel('frontend_service_grpc'), { email: alice.email });
    await watch.established;
    await changeEmail(alice.email);
    expect(await watch.ended).toMatchObject({ code: status.UNAUTHENTICATED });
    expect(watch.shown).toEqual([]);
  });

  it('keeps a message that can not be read, and all others', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    const broken = await send(alice, bob, 'broken');
    await send(alice, bob, 'whole');
    await redis(1).set(`message:${broken}`, Buffer.from([0x7b, 0xff, 0xfe]));
    const next = await changeEmail(alice.email);
    expect(await redis(1).zrange(`mailbox:${next}`, '0', '-1')).toContain(broken);
    await redis(1).del(`message:${broken}`);
    expect(await contentsOf(next)).toEqual(['whole']);
    await expectNothingLeft(alice.email);
  });
});

describe('a deleted user', () => {
  it('whose mailbox holds a message that can not be read, leaves all the same', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    const broken = await send(alice, bob, 'broken');
    await redis(1).set(`message:${broken}`, Buffer.from([0x7b, 0xff, 0xfe]));
    await send(alice, bob, 'whole');
    await leave(alice.email);
    expect(await redis(1).exists(`mailbox:${alice.email}`)).toBe(0);
    await redis(1).del(`message:${broken}`);
    expect(await contentsOf(bob.email)).toEqual(['whole']);
  });

  it('leaves nothing but what the other parties have', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    await send(alice, bob, 'one');
    await send(bob, alice, 'two');
    await send(alice, alice, 'note');
    const unseen = await send(bob, alice, 'deleted by bob');
    await grpc.messages.DeleteMessage({ user_email: bob.email, message_id: unseen });
    const watch = watchNotifications(channel('frontend_service_grpc'), { email: alice.email });
    await watch.established;

    await leave(alice.email);

    expect(await messagesOf(alice.email)).toEqual([]);
    expect(await conversationsOf(alice.email)).toEqual([]);
    expect(await notificationsOf(alice.email)).toEqual([]);
    expect(await contentsOf(bob.email, alice.email)).toEqual(['one', 'two']);
    expect(await redis(1).exists(`message:${unseen}`)).toBe(0);
    expect(await watch.ended).toMatchObject({ code: status.UNAUTHENTICATED });
    await expectSoon(async () => (await keysOf(alice.email)).toSorted()).toEqual(
      [
        `conversation:${alice.email}:${bob.email}`,
        `conversation:${bob.email}:${alice.email}`,
        `thread:${[alice.email, bob.email].toSorted().join(':')}`,
      ].toSorted(),
    );

    // Once the other has gone, too, there is nothing left at all.
    await leave(bob.email);
    await expectNothingLeft(alice.email);
    await expectNothingLeft(bob.email);
  });

  it('leaves the address to whoever takes it, at once', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    await send(bob, alice, 'for the old');
    await grpc.notifications.UnsubscribeUser({ email: alice.email });
    expect((await rest.users().delete(path(alice.email))).status).toBe(204);
    await takeAddress(alice.email);
    await send(bob, alice.email, 'for the new');
    await settled(alice.email);
    expect(await contentsOf(alice.email)).toEqual(['for the new']);
    expect(await unreadOf(alice.email)).toEqual({ [bob.email]: 1 });
    await expectSoon(async () => (await notificationsOf(alice.email)).length).toBe(1);
    expect(await isSubscribed(alice.email)).toBe(true);
    const session = { email: alice.email, password: 'a new secret' };
    await expectSoon(async () => (await rest.users().post('/sessions').send(session)).status).toBe(201);
    const stored = parseJson(
      z.looseObject({ email: z.string() }),
      await redis(0).get(`users:${alice.email}`),
    );
    expect(stored.email).toBe(alice.email);
  });
});

const read = (email: string) => rest.users().get(`${path(email)}/export`);

describe('GET /users/{email}/export', () => {
  it('gives all that there is of a user, page by page, and never a password', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    await Promise.all(Array.from({ length: 230 }, async (_, index) => send(alice, bob, `to bob ${index}`)));
    await send(bob, alice, 'quotes " and \u{1F600}');
    await grpc.notifications.UnsubscribeUser({ email: alice.email });
    await expectSoon(async () => (await notificationsOf(alice.email)).length).toBe(1);

    const answer = await read(alice.email);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      success: true,
      message: expect.stringMatching(/\S/),
      account: { email: alice.email, name: alice.name },
      subscription: { subscribed: false },
      messages: await messagesOf(alice.email),
      conversations: await conversationsOf(alice.email),
      notifications: await notificationsOf(alice.email),
    });
    expect(answer.body.messages).toHaveLength(231);
    expect(answer.text).not.toMatch(/password|\$2b/);
  });

  it('gives empty lists where there is nothing', async () => {
    const alice = await signUp('alice');
    expect((await read(` ${alice.email.toUpperCase()}`)).body).toMatchObject({
      subscription: { subscribed: true },
      messages: [],
      conversations: [],
      notifications: [],
    });
  });

  it('answers 404 for nobody', async () => {
    expect((await read(newEmail('nobody'))).status).toBe(404);
  });

  it('answers a HEAD without a body', async () => {
    const alice = await signUp('alice');
    expect((await rest.users().head(`${path(alice.email)}/export`)).status).toBe(200);
  });
});
