import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { isFrontendRestAbsent } from '../helpers/absent.js';
import { type Account, grpc, newEmail, redis, rest, sendMessage, signUp } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';

/** Addresses that reach for a key, a pattern or a header of others, or look like another's. */
const hostile = (name: string) => [
  `${name}:x@example.com`,
  `${name}@example.com:bob@example.com`,
  `*:${name}@example.com`,
  `users:${name}@example.com`,
  `${name}@example.com\r\nSet-Cookie: a=b`,
  `${name}\n@example.com`,
  `${name}\0@example.com`,
  `${name}@example.com\0`,
  `\u0430${name}@example.com`, // Cyrillic
  `${name}@ex\u0430mple.com`,
  `\uFF41${name}@example.com`, // full-width
  `${name}\uFF20example.com`,
  `\u212A${name}@example.com`, // the Kelvin sign, whose lower case is the letter k
  `\u0130${name}@example.com`, // whose lower case is two characters
  `${name}@example.com\u202E`, // turns the direction
  `${name}\u200B@example.com`, // takes no room
  `e\u0301${name}@example.com`, // a letter of two characters
  `${name}@example.com,bob@example.com`,
  `"${name}"@example.com`,
  `${name}@[127.0.0.1]`,
];

function patterns(): string[] {
  const end = alice.email.slice(1);
  return ['*', '?', `?${end}`, `[a]${end}`, `a*`, `${alice.email}*`, `users:${alice.email}`];
}

let alice: Account;
let bob: Account;

beforeAll(async () => {
  [alice, bob] = [await signUp('alice'), await signUp('bob')];
  await sendMessage(alice.email, bob.email);
});

describe('an address that is none', () => {
  const name = `inject-${randomUUID().slice(0, 8)}`;

  it.each(hostile(name).map((email) => [JSON.stringify(email), email]))(
    'makes no account: %s',
    async (_shown, email) => {
      const form = { email, password: 'the secret of nobody', name: 'Nobody' };
      const answer = await rest.users().post('/users').send(form);
      expectRefusal(answer, 400, /email/);
      expect(answer.headers).not.toHaveProperty('set-cookie');
      const changed = await rest.users().put(`/users/${alice.email}`).send({ email });
      expectRefusal(changed, 400, /email/);
      expect(await redis(0).keys(`*${name}*`)).toStrictEqual([]);
      expect(await redis(0).zrangebylex('user_index', '-', '+')).not.toContainEqual(
        expect.stringContaining(name),
      );
    },
  );
});

describe('a pattern', () => {
  it('is an address like any other, which nobody has', async () => {
    for (const pattern of patterns()) {
      const { messages, notifications, users } = grpc;
      expect(await users.CheckUserExists({ email: pattern })).toStrictEqual({ exists: false });
      expect((await rest.users().get(`/users/${encodeURIComponent(pattern)}`)).status).toBe(404);
      expect((await messages.GetMessages({ user_email: pattern })).messages).toStrictEqual([]);
      expect((await messages.ListConversations({ user_email: pattern })).conversations).toStrictEqual([]);
      const listed = await rest
        .notifications()
        .get(`/list_notifications?email=${encodeURIComponent(pattern)}`);
      expect(listed.body).toStrictEqual({ success: true, notifications: [] });
      expect((await notifications.ListNotifications({ email: pattern })).notifications).toStrictEqual([]);
      expect(await sendMessage(alice.email, pattern)).toMatchObject({ message: 'Receiver does not exist' });
    }
  });

  it('deletes nothing', async () => {
    for (const pattern of patterns()) {
      expect((await rest.users().delete(`/users/${encodeURIComponent(pattern)}`)).status).toBe(404);
      expect((await rest.users().delete('/users/email').send({ email: pattern })).status).toBe(404);
      await grpc.notifications.DeleteNotifications({ email: pattern, all: true });
      await grpc.notifications.UnsubscribeUser({ email: pattern });
    }
    expect(await grpc.users.CheckUserExists({ email: alice.email })).toStrictEqual({ exists: true });
    expect((await grpc.notifications.ListNotifications({ email: bob.email })).notifications).toHaveLength(1);
    expect(await grpc.notifications.CheckUserSubscribed({ email: bob.email })).toStrictEqual({
      subscribed: true,
    });
  });
});

describe('an address with a colon', () => {
  it("reaches into nobody's mailbox, conversation or notifications", async () => {
    const [one, other] = [`${alice.email}:${bob.email}`, `${bob.email}:conversations`];
    for (const email of [one, other]) {
      expect(await sendMessage(email, bob.email)).toMatchObject({ message: 'Sender does not exist' });
      expect(
        (await grpc.messages.GetMessages({ user_email: alice.email, with_email: email })).messages,
      ).toHaveLength(0);
      await grpc.messages.MarkConversationRead({ user_email: bob.email, with_email: email });
      await grpc.notifications.CreateNotification({ sender_email: 'x', receiver_email: email });
    }
    const notified = await grpc.notifications.ListNotifications({ email: bob.email });
    expect(notified.notifications).toHaveLength(1);
    expect(await redis(1).hget(`conversation:${alice.email}:${bob.email}`, 'message_count')).toBe('1');
  });
});

describe('a header', () => {
  it('is not added by what a path, a query or a body says', async () => {
    const injected = 'x%0d%0aX-Injected:%201';
    const answers = [
      await rest.users().get(`/users/${injected}`),
      await rest.messages().get(`/list_conversations?email=${injected}`),
      await rest.notifications().get(`/list_notifications?email=${injected}`),
      await rest.messages().delete(`/messages/${injected}?user_email=${newEmail('nobody')}`),
    ];
    if (!isFrontendRestAbsent) {
      const credentials = { email: 'x\r\nX-Injected: 1', password: 'x\r\nX-Injected: 1' };
      answers.push(
        await rest.frontend().get(`/${injected}`),
        await rest.frontend().post('/api/session').send(credentials),
      );
    }
    for (const answer of answers) expect(answer.headers).not.toHaveProperty('x-injected');
  });

  it('that names the request is repeated only as far as it is a name', async () => {
    for (const name of ['a b', '<script>', 'x'.repeat(1_000), '"', '%0d%0aX-Injected: 1']) {
      const { headers } = await rest.users().get('/healthz').set('X-Request-Id', name);
      expect(headers['x-request-id']).not.toBe(name);
    }
  });
});
