import { status } from '@grpc/grpc-js';
import type { CreateNotificationRequest } from '@messaging/proto_definitions/notification_service/CreateNotificationRequest';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { grpc, newEmail, redis, rest, sendMessage, signUp } from '../helpers/clients.js';
import {
  expectInvalidArgument,
  expectRefusal,
  expectSoon,
  parseJson,
  utcTimestamp,
} from '../helpers/expectations.js';

/** As it is stored and listed; more keys follow. */
const notification = z.looseObject({
  sender_email: z.string(),
  receiver_email: z.string(),
  timestamp: utcTimestamp,
  read: z.boolean(),
});
const notificationList = z.strictObject({ success: z.literal(true), notifications: z.array(notification) });
const subscription = z.strictObject({ user_email: z.string(), subscribed: z.boolean() });

const create = (sender_email: string, receiver_email: string) =>
  grpc.notifications.CreateNotification({ sender_email, receiver_email });
const createAll = (notifications: CreateNotificationRequest[]) =>
  grpc.notifications.CreateNotifications({ notifications });
const readStored = async (email: string) =>
  (await redis(2).lrange(`notifications:${email}`, 0, -1)).map((text) => parseJson(notification, text));
const readSubscription = async (email: string) =>
  parseJson(subscription, await redis(2).hget('subscriptions', email));
const byQuery = (email: string) => rest.notifications().get('/list_notifications').query({ email });
const byBody = (email: string) => rest.notifications().get('/list_notifications').send({ email });
const list = async (email: string) => {
  const response = await byQuery(email);
  expect(response.status, response.text).toBe(200);
  return notificationList.parse(response.body).notifications;
};

describe('CreateNotification', () => {
  it('answers true once the notification is stored, newest at the head of notifications:{email}', async () => {
    const [alice, bob, carol] = [newEmail('alice'), newEmail('bob'), newEmail('carol')];
    expect(await create(alice, bob)).toStrictEqual({ success: true });
    expect(await create(carol, bob)).toStrictEqual({ success: true });
    expect(await redis(2).type(`notifications:${bob}`)).toBe('list');
    expect(await readStored(bob)).toMatchObject([
      { sender_email: carol, receiver_email: bob, read: false },
      { sender_email: alice, receiver_email: bob, read: false },
    ]);
  });

  it('trims and lower-cases both emails', async () => {
    const [alice, bob] = [newEmail('alice'), newEmail('bob')];
    await create(` ${alice.toUpperCase()}`, `${bob.toUpperCase()}\n`);
    expect(await readStored(bob)).toMatchObject([{ sender_email: alice, receiver_email: bob }]);
  });

  it('answers false, and stores nothing, when the receiver is unsubscribed', async () => {
    const [alice, bob] = [newEmail('alice'), newEmail('bob')];
    await grpc.notifications.UnsubscribeUser({ email: bob });
    expect(await create(alice, bob)).toStrictEqual({ success: false });
    expect(await redis(2).exists(`notifications:${bob}`)).toBe(0);

    await grpc.notifications.SubscribeUser({ email: bob });
    expect(await create(alice, bob)).toStrictEqual({ success: true });
    expect(await readStored(bob)).toHaveLength(1);
  });

  it('refuses a missing receiver as INVALID_ARGUMENT', async () => {
    const sender_email = newEmail('alice');
    await expectInvalidArgument(grpc.notifications.CreateNotification({ sender_email }), /receiver_email/);
    await expectInvalidArgument(create(sender_email, ''), /receiver_email/);
    await expectInvalidArgument(create(sender_email, '  '), /receiver_email/);
  });

  it('refuses emails of more than 254 characters as INVALID_ARGUMENT', async () => {
    const long = `${'x'.repeat(250)}@b.c`.padEnd(255, 'd');
    await expectInvalidArgument(create(newEmail('alice'), long), /receiver_email must be at most 254/);
    await expectInvalidArgument(create(long, newEmail('bob')), /sender_email must be at most 254/);
  });
});

describe('CreateNotifications', () => {
  it('stores each, in order, and answers in the order of the request', async () => {
    const [alice, bob, carol] = [newEmail('alice'), newEmail('bob'), newEmail('carol')];
    await grpc.notifications.UnsubscribeUser({ email: carol });
    const reply = await createAll([
      { sender_email: alice, receiver_email: bob, message_id: '1' },
      { sender_email: alice, receiver_email: carol, message_id: '2' },
      { sender_email: ` ${carol.toUpperCase()}`, receiver_email: bob, message_id: '3' },
      { sender_email: alice, receiver_email: bob, message_id: '1' },
    ]);
    expect(reply).toStrictEqual({
      results: [{ success: true }, { success: false }, { success: true }, { success: true }],
    });
    expect(await readStored(bob)).toMatchObject([
      { sender_email: carol, message_id: '3', id: '2' },
      { sender_email: alice, message_id: '1', id: '1' },
    ]);
    expect(await redis(2).exists(`notifications:${carol}`)).toBe(0);
  });

  it('lets one that fails fail alone, with the code and the words of CreateNotification', async () => {
    const [alice, bob, broken] = [newEmail('alice'), newEmail('bob'), newEmail('broken')];
    await redis(2).set(`notifications:${broken}`, 'not a list');
    const reply = await createAll([
      { sender_email: alice, receiver_email: bob },
      { sender_email: alice },
      { sender_email: alice, receiver_email: broken },
      { sender_email: alice, receiver_email: bob, message_id: 'x'.repeat(129) },
      { sender_email: alice, receiver_email: bob },
    ]);
    expect(reply).toStrictEqual({
      results: [
        { success: true },
        { code: status.INVALID_ARGUMENT, details: 'receiver_email is required' },
        { code: status.INTERNAL, details: 'Something went wrong on our side' },
        { code: status.INVALID_ARGUMENT, details: 'message_id must be at most 128 characters' },
        { success: true },
      ],
    });
    expect(await readStored(bob)).toHaveLength(2);
    await redis(2).del(`notifications:${broken}`);
  });

  it('takes up to 256 at once, and refuses more', async () => {
    const [alice, bob] = [newEmail('alice'), newEmail('bob')];
    const many = Array.from({ length: 257 }, () => ({ sender_email: alice, receiver_email: bob }));
    expect((await createAll(many.slice(1))).results).toHaveLength(256);
    await expectInvalidArgument(createAll(many), /notifications must be 256 items at the most/);
    expect(await createAll([])).toStrictEqual({ results: [] });
    expect(await readStored(bob)).toHaveLength(256);
  });
});

describe('a subscription', () => {
  it('counts as true for whoever never unsubscribed', async () => {
    const reply = await grpc.notifications.CheckUserSubscribed({ email: newEmail('bob') });
    expect(reply).toStrictEqual({ subscribed: true });
  });

  it('is what the last of SubscribeUser and UnsubscribeUser made it', async () => {
    const email = newEmail('bob');
    const { CheckUserSubscribed, SubscribeUser, UnsubscribeUser } = grpc.notifications;
    for (const [call, subscribed] of [
      [UnsubscribeUser, false],
      [SubscribeUser, true],
      [UnsubscribeUser, false],
    ] as const) {
      expect(await call({ email })).toStrictEqual({ success: true });
      expect(await CheckUserSubscribed({ email })).toStrictEqual({ subscribed });
      expect(await readSubscription(email)).toStrictEqual({ user_email: email, subscribed });
    }
    expect(await redis(2).type('subscriptions')).toBe('hash');
  });

  it('is found however the email is written', async () => {
    const email = newEmail('bob');
    const written = ` ${email.toUpperCase()}\t`;
    await grpc.notifications.UnsubscribeUser({ email: written });
    expect(await readSubscription(email)).toStrictEqual({ user_email: email, subscribed: false });
    expect(await grpc.notifications.CheckUserSubscribed({ email: written })).toStrictEqual({
      subscribed: false,
    });
    await grpc.notifications.SubscribeUser({ email: written });
    expect(await grpc.notifications.CheckUserSubscribed({ email })).toStrictEqual({ subscribed: true });
  });
});

describe.each([
  { form: 'GET /list_notifications?email=', ask: byQuery },
  { form: 'GET /list_notifications with a JSON body', ask: byBody },
])('$form', ({ ask }) => {
  it('lists the notifications, newest first, as they are stored', async () => {
    const [alice, bob, carol] = [newEmail('alice'), newEmail('bob'), newEmail('carol')];
    await create(alice, bob);
    await create(carol, bob);
    const response = await ask(` ${bob.toUpperCase()} `);
    expect(response.status).toBe(200);
    const { notifications } = notificationList.parse(response.body);
    expect(notifications.map((listed) => listed.sender_email)).toStrictEqual([carol, alice]);
    expect(notifications).toMatchObject(await readStored(bob));
  });

  it('lists nothing for someone without notifications', async () => {
    const response = await ask(newEmail('nobody'));
    expect(response.status).toBe(200);
    expect(response.body).toStrictEqual({ success: true, notifications: [] });
  });

  it('answers 400 to an empty email', async () => {
    expectRefusal(await ask(''), 400, /email/);
    expectRefusal(await ask('  '), 400, /email/);
  });
});

describe('GET /list_notifications', () => {
  it('answers 400 without an email', async () => {
    expectRefusal(await rest.notifications().get('/list_notifications'), 400, /email/);
    expectRefusal(await rest.notifications().get('/list_notifications').send({}), 400, /email/);
  });
});

describe('the flow', () => {
  it('SendMessage has the receiver notified, and not the sender', async () => {
    const [{ email: alice }, { email: bob }] = await Promise.all([signUp('alice'), signUp('bob')]);
    await sendMessage(alice, bob);
    await expectSoon(() => list(bob)).toMatchObject([
      { sender_email: alice, receiver_email: bob, read: false },
    ]);
    expect(await list(alice)).toStrictEqual([]);
  });

  it('SendMessage succeeds when the receiver is unsubscribed, who is not notified', async () => {
    const [{ email: alice }, { email: bob }] = await Promise.all([signUp('alice'), signUp('bob')]);
    // The sign-up subscribes in the background: only after that does unsubscribing last.
    await expectSoon(() => redis(2).hexists('subscriptions', bob)).toBe(1);
    await grpc.notifications.UnsubscribeUser({ email: bob });
    expect(await sendMessage(alice, bob)).toMatchObject({ success: true });

    await grpc.notifications.SubscribeUser({ email: bob });
    await sendMessage(alice, bob);
    await expectSoon(async () => (await list(bob)).length).toBe(1);
  });
});
