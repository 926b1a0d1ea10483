import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect, newEmail } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';
import { snapshot } from '../helpers/snapshot.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const DATABASES = [0, 1, 2] as const;
type Database = (typeof DATABASES)[number];
const OUTBOXES: [Database, string][] = [
  [0, 'outbox:subscribe'],
  [1, 'outbox:notify'],
  [2, 'outbox:push'],
];

let suite: Suite;
let clients: ReturnType<typeof connect>;
const alice = 'alice@example.com';
const bob = 'bob@example.com';

beforeAll(async () => {
  suite = await Suite.start({
    processes: [
      'user_service_api',
      'user_service_grpc',
      'message_service_api',
      'message_service_grpc',
      'notification_service_grpc',
      'frontend_service_grpc',
    ],
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const email of [alice, bob]) await signUp(email).expect(201);
  await send();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

const signUp = (email: string) =>
  clients.rest.users().post('/users').send({ email, password: 'secret', name: 'Somebody' });
const change = (email: string, changes: { email?: string; name?: string }) =>
  clients.rest
    .users()
    .put(`/users/${encodeURIComponent(email)}`)
    .send(changes);
const post = (key = '') =>
  clients.rest
    .messages()
    .post('/messages')
    .set('Idempotency-Key', key)
    .send({ sender_email: alice, receiver_email: bob, content: 'hello' });

function send(request_id = '') {
  return clients.grpc.messages.SendMessage({
    message: { sender_email: alice, receiver_email: bob, content: 'hello' },
    request_id,
  });
}

function notify(message_id = '') {
  return clients.grpc.notifications.CreateNotification({
    sender_email: alice,
    receiver_email: bob,
    message_id,
  });
}

/** Waits until nothing is under way that would write by itself. */
async function settle() {
  for (const [database, stream] of OUTBOXES) {
    await waitFor(async () => (await clients.redis(database).xlen(stream)) === 0, {
      what: `${stream} is empty`,
      timeoutMs: 20_000,
    });
  }
}

/** Does something, and expects it to have written nothing. */
async function expectNothingWritten(act: () => Promise<void>) {
  const before = await snapshot(clients);
  await act();
  expect(await snapshot(clients)).toEqual(before);
}

async function expectUnavailable(call: Promise<unknown>) {
  await expect(call).rejects.toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining('Redis'),
  });
}

async function expectInternal(call: Promise<unknown>) {
  await expect(call).rejects.toMatchObject({
    code: status.INTERNAL,
    details: 'Something went wrong on our side',
  });
}

const fixedMessage = /^Something went wrong on our side$/;

describe.each([
  {
    what: 'is out of memory',
    begin: async () => {
      await clients.redis(0).config('SET', 'maxmemory-policy', 'noeviction');
      await clients.redis(0).config('SET', 'maxmemory', '1mb');
    },
    end: async () => {
      await clients.redis(0).config('SET', 'maxmemory', '0');
    },
  },
  {
    what: 'has become a replica, which only serves reads',
    begin: async () => {
      await clients.redis(0).call('REPLICAOF', '127.0.0.1', '1');
    },
    end: async () => {
      await clients.redis(0).call('REPLICAOF', 'NO', 'ONE');
    },
  },
])('where Redis $what', ({ begin, end }) => {
  beforeEach(async () => {
    await settle();
    await begin();
  });
  afterEach(end);

  it('a message is refused as UNAVAILABLE or 503, nothing of it is stored, and the retry works', async () => {
    const [one, other] = [randomUUID(), randomUUID()];
    await expectNothingWritten(async () => {
      await expectUnavailable(send());
      await expectUnavailable(send(one));
      expectRefusal(await post(), 503, /Redis/);
      expectRefusal(await post(other), 503, /Redis/);
    });
    await end();
    const { message_id } = await send(one);
    expect(message_id).toMatch(/^\d+$/);
    expect(await send(one)).toMatchObject({ success: true, message_id });
    await post(other).expect(201);
    await settle();
    expect(await clients.redis(2).hexists(`notified_messages:${bob}`, message_id ?? '')).toBe(1);
  });

  it('an account is refused with 503, nothing of it is stored, and the retry works', async () => {
    const email = newEmail('carol');
    await expectNothingWritten(async () => {
      expectRefusal(await signUp(email), 503, /Redis/);
      expectRefusal(await change(bob, { name: 'Robert' }), 503, /Redis/);
    });
    await end();
    await signUp(email).expect(201);
    await change(bob, { name: 'Robert' }).expect(200);
    await waitFor(async () => (await clients.redis(2).hexists('subscriptions', email)) === 1, {
      what: 'the account is subscribed',
    });
  });

  it('a notification is refused as UNAVAILABLE, nothing of it is stored, and the retry works', async () => {
    const message_id = randomUUID();
    await expectNothingWritten(async () => {
      await expectUnavailable(notify());
      await expectUnavailable(notify(message_id));
    });
    const before = await clients.redis(2).llen(`notifications:${bob}`);
    await end();
    expect(await notify(message_id)).toEqual({ success: true });
    expect(await notify(message_id)).toEqual({ success: true });
    expect(await clients.redis(2).llen(`notifications:${bob}`)).toBe(before + 1);
  });

  it('a subscription is refused as UNAVAILABLE, and stays what it was', async () => {
    const { SubscribeUser, UnsubscribeUser, CheckUserSubscribed } = clients.grpc.notifications;
    await expectNothingWritten(async () => {
      await expectUnavailable(SubscribeUser({ email: newEmail('carol') }));
      await expectUnavailable(UnsubscribeUser({ email: bob }));
    });
    expect(await CheckUserSubscribed({ email: bob })).toEqual({ subscribed: true });
  });

  it('what is stored can still be read', async () => {
    const { messages } = await clients.grpc.messages.GetMessages({ user_email: bob });
    expect(messages.length).toBeGreaterThan(0);
  });
});

/** A key that holds something of a wrong type, and what each request that uses it then says. */
interface Planted {
  database: Database;
  key: string;
  type: 'string' | 'list';
  attempt: () => Promise<void>;
  /** What works again once the key is as it was. */
  retry: () => Promise<void>;
}

const REQUEST_ID = 'of a planted key';
const MESSAGE_ID = randomUUID();
const newcomer = newEmail('newcomer');

async function attemptNotification() {
  await expectInternal(notify());
  await expectInternal(notify(MESSAGE_ID));
}

async function retryNotification() {
  expect(await notify(MESSAGE_ID)).toEqual({ success: true });
}

async function attemptMessage() {
  await expectInternal(send(REQUEST_ID));
  expectRefusal(await post(REQUEST_ID), 500, fixedMessage);
}

async function retryMessage() {
  expect(await send(REQUEST_ID)).toMatchObject({ success: true });
}

async function attemptAccount() {
  expectRefusal(await signUp(newcomer), 500, fixedMessage);
}

async function retryAccount() {
  await signUp(newcomer).expect(201);
  await clients.rest
    .users()
    .delete(`/users/${encodeURIComponent(newcomer)}`)
    .expect(204);
}

const planted: Planted[] = [
  ...(
    [
      ['subscriptions', 'string'],
      [`notifications:${bob}`, 'string'],
      [`notification_counter:${bob}`, 'list'],
      [`notified_messages:${bob}`, 'string'],
      ['outbox:push', 'string'],
    ] as const
  ).map(([key, type]) => ({
    database: 2 as const,
    key,
    type,
    attempt: attemptNotification,
    retry: retryNotification,
  })),
  ...(
    [
      ['outbox:notify', 'string'],
      [`request:${alice}:${REQUEST_ID}`, 'list'],
    ] as const
  ).map(([key, type]) => ({ database: 1 as const, key, type, attempt: attemptMessage, retry: retryMessage })),
  {
    database: 0,
    key: 'user_index',
    type: 'string',
    attempt: async () => {
      await attemptAccount();
      expectRefusal(await change(bob, { email: newcomer }), 500, fixedMessage);
      expectRefusal(
        await clients.rest.users().delete(`/users/${encodeURIComponent(bob)}`),
        500,
        fixedMessage,
      );
    },
    retry: retryAccount,
  },
  { database: 0, key: 'outbox:subscribe', type: 'string', attempt: attemptAccount, retry: retryAccount },
  {
    database: 2,
    key: 'subscriptions',
    type: 'list',
    attempt: async () => {
      const { SubscribeUser, UnsubscribeUser, CheckUserSubscribed } = clients.grpc.notifications;
      for (const call of [SubscribeUser, UnsubscribeUser, CheckUserSubscribed]) {
        await expectInternal(call({ email: bob }));
      }
    },
    retry: retryNotification,
  },
];

it.each(planted)(
  'where $key is a $type, a request is refused, nothing of it is written, and the retry works',
  async ({ database, key, type, attempt, retry }) => {
    await settle();
    const redis = clients.redis(database);
    const kept = `kept:${key}`;
    if (await redis.exists(key)) await redis.rename(key, kept);
    await (type === 'list' ? redis.rpush(key, 'not ours') : redis.set(key, 'not ours'));
    try {
      await expectNothingWritten(attempt);
    } finally {
      await redis.del(key);
      if (await redis.exists(kept)) await redis.rename(kept, key);
    }
    await retry();
  },
);

it('where the counter of notifications is no number, one is refused and nothing of it is written', async () => {
  await settle();
  const redis = clients.redis(2);
  const key = `notification_counter:${bob}`;
  const value = (await redis.get(key)) ?? '0';
  await redis.set(key, 'not a number');
  try {
    await expectNothingWritten(async () => {
      await expectInternal(notify());
      await expectInternal(notify(randomUUID()));
    });
  } finally {
    await redis.set(key, value);
  }
  await retryNotification();
});
