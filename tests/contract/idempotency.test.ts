import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { grpc, newEmail, redis, rest, signUp } from '../helpers/clients.js';
import { expectInvalidArgument, expectRefusal, parseJson } from '../helpers/expectations.js';
import { waitFor } from '../helpers/wait-for.js';

const MAX_CONTENT_BYTES = 64 * 1024;
const MAX_BODY_BYTES = 512 * 1024;
const REQUEST_TTL_SECONDS = 24 * 60 * 60;

const messageId = z.string().regex(/^[1-9]\d*$/);
const storedNotification = z.looseObject({
  id: z.string().regex(/^[1-9]\d*$/),
  message_id: z.string().optional(),
});
const notificationList = z.object({ notifications: z.array(z.unknown()) });

let alice: string;
let bob: string;
/** A request id of its own for every test. */
let requestId: string;

beforeEach(async () => {
  const accounts = await Promise.all([signUp('alice'), signUp('bob')]);
  [alice, bob] = [accounts[0].email, accounts[1].email];
  requestId = `request ${randomUUID()}`;
});

interface Sent {
  sender?: string;
  receiver?: string;
  content?: string;
  request_id?: string;
}

/** Sends by gRPC, from alice to bob unless told, with the test's request id unless told. */
async function send({
  sender = alice,
  receiver = bob,
  content = 'hello',
  request_id = requestId,
}: Sent = {}) {
  const reply = await grpc.messages.SendMessage({
    message: { sender_email: sender, receiver_email: receiver, content },
    request_id,
  });
  expect(reply).toStrictEqual({
    success: true,
    message: expect.stringMatching(/\S/),
    message_id: expect.any(String),
  });
  return messageId.parse(reply.message_id);
}

/** Posts by REST. */
function post(body: object, key?: string) {
  const request = rest.messages().post('/messages');
  return (key === undefined ? request : request.set('Idempotency-Key', key)).send(body);
}

const bodyOf = ({ sender = alice, receiver = bob, content = 'hello' }: Sent = {}) => ({
  sender_email: sender,
  receiver_email: receiver,
  content,
});

/** Posts by REST and expects a 201. */
async function postSent(body: object, key?: string) {
  const response = await post(body, key);
  expect(response.status, response.text).toBe(201);
  expect(response.body).toStrictEqual({
    success: true,
    message: expect.stringMatching(/\S/),
    message_id: expect.any(String),
  });
  return z.object({ message_id: messageId }).parse(response.body).message_id;
}

async function idsOf(email: string) {
  const { messages } = await grpc.messages.GetMessages({ user_email: email });
  return messages.map(({ message_id }) => message_id);
}

/** The ids of the messages that a receiver was notified of, once nothing for it is under way any more. */
async function notifiedIds(receiver: string) {
  await waitFor(
    async () => !JSON.stringify(await redis(1).xrange('outbox:notify', '-', '+')).includes(receiver),
    { what: `everything for ${receiver} is delivered`, timeoutMs: 20_000 },
  );
  return (await readNotifications(receiver)).map(({ message_id }) => message_id);
}

async function readNotifications(receiver: string) {
  const texts = await redis(2).lrange(`notifications:${receiver}`, 0, -1);
  return texts.map((text) => parseJson(storedNotification, text));
}

const repeat = <Value>(count: number, ask: () => Promise<Value>) =>
  Promise.all(Array.from({ length: count }, ask));

const expectMismatch = (call: Promise<unknown>) =>
  expect(call).rejects.toMatchObject({
    code: status.FAILED_PRECONDITION,
    details: expect.stringMatching(/\S/),
  });

describe("SendMessage's request_id", () => {
  it('has a repeat answer the same message_id, and store and notify once', async () => {
    const first = await send();
    expect(await send()).toBe(first);
    expect(await send()).toBe(first);
    expect(await idsOf(bob)).toStrictEqual([first]);
    expect(await notifiedIds(bob)).toStrictEqual([first]);
  });

  it('has 20 concurrent repeats answer the same message_id, and store and notify once', async () => {
    const ids = await repeat(20, send);
    expect(new Set(ids).size).toBe(1);
    expect(await idsOf(bob)).toStrictEqual([ids[0]]);
    expect(await notifiedIds(bob)).toStrictEqual([ids[0]]);
    const direction = await redis(1).hgetall(`conversation:${alice}:${bob}`);
    expect(direction).toMatchObject({ message_count: '1', last_message_id: ids[0] });
  });

  it('knows a repeat whose emails are written differently', async () => {
    const first = await send();
    expect(await send({ sender: ` ${alice.toUpperCase()}`, receiver: `${bob.toUpperCase()}\t` })).toBe(first);
    expect(await idsOf(bob)).toStrictEqual([first]);
  });

  it('is each sender’s own', async () => {
    const { email: carol } = await signUp('carol');
    const [one, other] = [await send(), await send({ sender: carol })];
    expect(other).not.toBe(one);
    expect(await idsOf(bob)).toStrictEqual([one, other]);
    expect(new Set(await notifiedIds(bob))).toStrictEqual(new Set([one, other]));
    expect(await notifiedIds(bob)).toHaveLength(2);
  });

  it('is refused with other content, and nothing is stored', async () => {
    const first = await send();
    await expectMismatch(send({ content: 'hello!' }));
    expect(await idsOf(bob)).toStrictEqual([first]);
    expect(await notifiedIds(bob)).toStrictEqual([first]);
    expect(await send()).toBe(first);
  });

  it('is refused with another receiver, and nothing is stored', async () => {
    const { email: carol } = await signUp('carol');
    const first = await send();
    await expectMismatch(send({ receiver: carol }));
    expect(await idsOf(carol)).toStrictEqual([]);
    expect(await notifiedIds(carol)).toStrictEqual([]);
    expect(await idsOf(alice)).toStrictEqual([first]);
    expect(await redis(1).exists(`conversation:${alice}:${carol}`)).toBe(0);
  });

  it('lets one of 20 concurrent messages with different content win', async () => {
    const calls = Array.from({ length: 20 }, (_, index) => send({ content: `content ${index}` }));
    const results = await Promise.allSettled(calls);
    const won = results.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
    const lost: unknown[] = results
      .filter((result) => result.status === 'rejected')
      .map(({ reason }: { reason: unknown }) => reason);
    expect(await idsOf(bob)).toStrictEqual(won);
    expect(won).toHaveLength(1);
    for (const reason of lost) expect(reason).toMatchObject({ code: status.FAILED_PRECONDITION });
  });

  it('may have 128 characters; more are INVALID_ARGUMENT', async () => {
    const longest = 'x'.repeat(128);
    const first = await send({ request_id: longest });
    expect(await send({ request_id: longest })).toBe(first);
    await expectInvalidArgument(send({ request_id: `${longest}x` }), /request_id/);
    expect(await idsOf(bob)).toStrictEqual([first]);
  });

  it('is as good as none when it is empty', async () => {
    const ids = [await send({ request_id: '' }), await send({ request_id: '' })];
    expect(new Set(ids).size).toBe(2);
    expect(await idsOf(bob)).toStrictEqual(ids);
    expect(await redis(1).exists(`request:${alice}:`)).toBe(0);
  });

  it.each(['a:b', 'emoji 👩‍👩‍👧‍👦', ' spaces ', '*', '\u0000'])('may hold any characters: %j', async (unusual) => {
    const request_id = `${unusual}${randomUUID()}`;
    const first = await send({ request_id });
    expect(await send({ request_id })).toBe(first);
  });

  it('is kept under request:{sender}:{id} for 24 hours at the most', async () => {
    await send();
    const ttl = await redis(1).ttl(`request:${alice}:${requestId}`);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(REQUEST_TTL_SECONDS);
    await send();
    expect(await redis(1).ttl(`request:${alice}:${requestId}`)).toBeLessThanOrEqual(ttl);
  });

  it('has a repeat answer as at first when the receiver is gone meanwhile', async () => {
    const first = await send();
    await rest
      .users()
      .delete(`/users/${encodeURIComponent(bob)}`)
      .expect(204);
    expect(await send()).toBe(first);
  });

  it('is not used up by a message that was not sent', async () => {
    const nobody = newEmail('nobody');
    const reply = await grpc.messages.SendMessage({
      message: { sender_email: alice, receiver_email: nobody, content: 'hello' },
      request_id: requestId,
    });
    expect(reply).toMatchObject({ success: false, message: 'Receiver does not exist' });
    await expect(send()).resolves.toMatch(/^\d+$/);
  });
});

describe('POST /messages', () => {
  it('answers 201 with the id of the message, which is stored and notified', async () => {
    const id = await postSent(bodyOf());
    const { messages } = await grpc.messages.GetMessages({ user_email: bob });
    expect(messages).toMatchObject([
      { message_id: id, sender_email: alice, receiver_email: bob, content: 'hello' },
    ]);
    expect(await notifiedIds(bob)).toStrictEqual([id]);
  });

  it('refuses missing and unusable fields with 400, and stores nothing', async () => {
    const complete = bodyOf();
    for (const field of ['sender_email', 'receiver_email', 'content'] as const) {
      const { [field]: _, ...incomplete } = complete;
      expectRefusal(await post(incomplete), 400, new RegExp(field));
      expectRefusal(await post({ ...complete, [field]: 7 }), 400, new RegExp(field));
      expectRefusal(await post({ ...complete, [field]: null }), 400, new RegExp(field));
      expectRefusal(await post({ ...complete, [field]: '' }), 400, new RegExp(field));
    }
    expectRefusal(await post([]), 400);
    expectRefusal(await rest.messages().post('/messages'), 400);
    expectRefusal(await rest.messages().post('/messages').type('json').send('{'), 400);
    expect(await idsOf(bob)).toStrictEqual([]);
  });

  it('takes content of exactly 64 KiB of UTF-8, and refuses one byte more with 400', async () => {
    for (const longest of ['x'.repeat(MAX_CONTENT_BYTES), '😀'.repeat(MAX_CONTENT_BYTES / 4)]) {
      await postSent(bodyOf({ content: longest }));
      expectRefusal(await post(bodyOf({ content: `${longest}x` })), 400, /content/);
    }
  });

  it('takes 64 KiB of content that is six times as long as JSON', async () => {
    const content = '\u0001'.repeat(MAX_CONTENT_BYTES);
    expect(JSON.stringify(content).length).toBeGreaterThan(6 * MAX_CONTENT_BYTES);
    const message_id = await postSent(bodyOf({ content }));
    const { messages } = await grpc.messages.GetMessages({ user_email: bob });
    expect(messages).toMatchObject([{ message_id, content }]);
  });

  it('refuses a body over 512 KiB with 413, and stores nothing', async () => {
    expectRefusal(await post(bodyOf({ content: 'x'.repeat(MAX_BODY_BYTES) })), 413);
    expectRefusal(await post({ ...bodyOf(), more: 'x'.repeat(MAX_BODY_BYTES) }), 413);
    expect(await idsOf(bob)).toStrictEqual([]);
  });

  it('refuses an unknown sender or receiver with 404', async () => {
    for (const unknown of [newEmail('nobody'), 'not an address', 'a:b']) {
      expectRefusal(await post(bodyOf({ sender: unknown })), 404, /^Sender does not exist$/);
      expectRefusal(await post(bodyOf({ receiver: unknown })), 404, /^Receiver does not exist$/);
      expectRefusal(
        await post(bodyOf({ sender: unknown, receiver: unknown })),
        404,
        /^Sender does not exist$/,
      );
    }
  });

  it('answers a repeat with the same Idempotency-Key the same, and stores and notifies once', async () => {
    const ids = await repeat(20, () => postSent(bodyOf(), requestId));
    ids.push(await postSent(bodyOf(), requestId));
    expect(new Set(ids).size).toBe(1);
    expect(await idsOf(bob)).toStrictEqual([ids[0]]);
    expect(await notifiedIds(bob)).toStrictEqual([ids[0]]);
  });

  it('refuses an Idempotency-Key that comes back with another body with 422, and stores nothing', async () => {
    const { email: carol } = await signUp('carol');
    const first = await postSent(bodyOf(), requestId);
    expectRefusal(await post(bodyOf({ content: 'hello!' }), requestId), 422);
    expectRefusal(await post(bodyOf({ receiver: carol }), requestId), 422);
    expect(await idsOf(alice)).toStrictEqual([first]);
    expect(await idsOf(carol)).toStrictEqual([]);
    expect(await postSent(bodyOf(), requestId)).toBe(first);
  });

  it('refuses an Idempotency-Key over 128 characters with 400, and takes an empty one as none', async () => {
    await postSent(bodyOf(), 'x'.repeat(128));
    expectRefusal(await post(bodyOf(), 'x'.repeat(129)), 400, /idempotency-key/i);
    expect(await postSent(bodyOf(), '')).not.toBe(await postSent(bodyOf(), ''));
    expect(await idsOf(bob)).toHaveLength(3);
  });

  it('shares its keys with SendMessage', async () => {
    const byRest = await postSent(bodyOf(), requestId);
    expect(await send()).toBe(byRest);
    await expectMismatch(send({ content: 'hello!' }));

    const other = randomUUID();
    const byGrpc = await send({ content: 'second', request_id: other });
    expect(await postSent(bodyOf({ content: 'second' }), other)).toBe(byGrpc);
    expectRefusal(await post(bodyOf({ content: 'third' }), other), 422);
    expect(await idsOf(bob)).toStrictEqual([byRest, byGrpc]);
  });

  it('shares its keys with SendMessage when both doors are asked at once', async () => {
    const ids = await Promise.all([
      ...Array.from({ length: 10 }, () => postSent(bodyOf(), requestId)),
      ...Array.from({ length: 10 }, () => send()),
    ]);
    expect(new Set(ids).size).toBe(1);
    expect(await idsOf(bob)).toStrictEqual([ids[0]]);
    expect(await notifiedIds(bob)).toStrictEqual([ids[0]]);
  });
});

const create = (message_id?: string, receiver_email = bob) =>
  grpc.notifications.CreateNotification({
    sender_email: alice,
    receiver_email,
    ...(message_id === undefined ? {} : { message_id }),
  });
const countdown = (from: number) => Array.from({ length: from }, (_, index) => String(from - index));

describe("CreateNotification's message_id", () => {
  it('has 20 concurrent calls store one notification and all answer true', async () => {
    const replies = await repeat(20, () => create('41'));
    expect(replies).toStrictEqual(Array.from({ length: 20 }, () => ({ success: true })));
    expect(await create('41')).toStrictEqual({ success: true });
    expect(await readNotifications(bob)).toMatchObject([{ id: '1', message_id: '41' }]);
  });

  it('is each receiver’s own', async () => {
    const carol = newEmail('carol');
    await create('41');
    await create('41', carol);
    for (const receiver of [bob, carol]) {
      expect(await readNotifications(receiver)).toMatchObject([{ id: '1', message_id: '41' }]);
    }
  });

  it('makes each call its own where it is missing or empty', async () => {
    await repeat(3, () => create());
    await repeat(3, () => create(''));
    const stored = await readNotifications(bob);
    expect(stored.map(({ id }) => id)).toStrictEqual(countdown(6));
    for (const notification of stored) expect(notification).not.toHaveProperty('message_id');
  });

  it('is stored beside an id that counts the receiver’s notifications without a gap', async () => {
    await repeat(50, () => create());
    expect((await readNotifications(bob)).map(({ id }) => id)).toStrictEqual(countdown(50));
  });

  it('leaves no gap where calls repeat', async () => {
    const calls = Array.from({ length: 50 }, (_, index) => create(String(index % 10)));
    await Promise.all(calls);
    const stored = await readNotifications(bob);
    expect(stored.map(({ id }) => id)).toStrictEqual(countdown(10));
    expect(new Set(stored.map(({ message_id }) => message_id)).size).toBe(10);
  });

  it('has calls for an unsubscribed receiver answer false, repeats as well, and stores nothing', async () => {
    await grpc.notifications.UnsubscribeUser({ email: bob });
    for (const _ of [1, 2, 3]) expect(await create('41')).toStrictEqual({ success: false });
    expect(await readNotifications(bob)).toStrictEqual([]);
    expect(await redis(2).exists(`notification_counter:${bob}`, `notified_messages:${bob}`)).toBe(0);
  });

  it('has a repeat answer true, and store nothing, when the receiver unsubscribed meanwhile', async () => {
    expect(await create('41')).toStrictEqual({ success: true });
    await grpc.notifications.UnsubscribeUser({ email: bob });
    expect(await create('41')).toStrictEqual({ success: true });
    expect(await create('42')).toStrictEqual({ success: false });
    expect(await readNotifications(bob)).toMatchObject([{ id: '1', message_id: '41' }]);
  });

  it('may have 128 characters; more are INVALID_ARGUMENT', async () => {
    const longest = 'x'.repeat(128);
    expect(await create(longest)).toStrictEqual({ success: true });
    await expectInvalidArgument(create(`${longest}x`), /message_id/);
    expect(await readNotifications(bob)).toMatchObject([{ id: '1', message_id: longest }]);
  });

  it('is the message’s own after SendMessage, stored and listed', async () => {
    const ids = [await send(), await send({ content: 'second', request_id: '' })];
    expect(await notifiedIds(bob)).toStrictEqual(ids.toReversed());
    const response = await rest.notifications().get('/list_notifications').query({ email: bob }).expect(200);
    const { notifications } = notificationList.parse(response.body);
    expect(notifications).toStrictEqual([
      expect.objectContaining({ id: '2', message_id: ids[1], sender_email: alice, receiver_email: bob }),
      expect.objectContaining({ id: '1', message_id: ids[0], sender_email: alice, receiver_email: bob }),
    ]);
  });
});
