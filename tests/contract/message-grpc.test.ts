import type { Message__Output as Message } from '@messaging/proto_definitions/message_service/Message';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { bufCurl } from '../helpers/buf.js';
import {
  addresses,
  getMessagePages,
  grpc,
  newEmail,
  redis,
  rest,
  sendMessage,
  signUp,
} from '../helpers/clients.js';
import { expectInvalidArgument, expectSoon, parseJson, utcTimestamp } from '../helpers/expectations.js';

const MAX_CONTENT_BYTES = 64 * 1024;

const messageId = z.string().regex(/^[1-9]\d*$/);
const counter = messageId.transform(Number);
const storedMessage = z.strictObject({
  id: z.int(),
  sender_email: z.string(),
  receiver_email: z.string(),
  content: z.string(),
  timestamp: utcTimestamp,
});

/** The keys of one direction, and those of both sides. */
const direction = (sender: string, receiver: string) =>
  redis(1).hgetall(`conversation:${sender}:${receiver}`);
const partners = (email: string) => redis(1).smembers(`user:${email}:conversations`);
const readStored = async (id: unknown) =>
  parseJson(storedMessage, await redis(1).get(`message:${messageId.parse(id)}`));
const readCounter = async () => counter.parse(await redis(1).get('message_id_counter'));

const signUpPair = async () => {
  const [{ email: alice }, { email: bob }] = await Promise.all([signUp('alice'), signUp('bob')]);
  return { alice, bob };
};

/** Sends one after the other. */
const sendAll = async (...sends: [sender: string, receiver: string, content: string][]) => {
  for (const send of sends) expect(await sendMessage(...send)).toMatchObject({ success: true });
};

const contents = (messages: Message[]) => messages.map((message) => message.content);

describe('SendMessage', () => {
  let alice: string;
  let bob: string;
  beforeAll(async () => {
    ({ alice, bob } = await signUpPair());
  });

  it('answers success, a message and the id', async () => {
    const reply = await sendMessage(alice, bob);
    expect(reply).toStrictEqual({
      success: true,
      message: expect.stringMatching(/\S/),
      message_id: expect.stringMatching(/^[1-9]\d*$/),
    });
  });

  it('stores the message under message:{id} as JSON, with a number for an id', async () => {
    const { message_id } = await sendMessage(alice, bob, 'as JSON');
    expect(await redis(1).type(`message:${message_id}`)).toBe('string');
    expect(await readStored(message_id)).toStrictEqual({
      id: Number(message_id),
      sender_email: alice,
      receiver_email: bob,
      content: 'as JSON',
      timestamp: expect.any(String),
    });
  });

  it('trims and lower-cases both emails', async () => {
    const { message_id } = await sendMessage(` ${alice.toUpperCase()}`, `${bob.toUpperCase()}\t`);
    expect(await readStored(message_id)).toMatchObject({ sender_email: alice, receiver_email: bob });
  });

  it('ignores the message_id and the timestamp of the caller', async () => {
    const sent = { message_id: '999999999999', timestamp: '1999-12-31T23:59:59.000Z' };
    const message = { ...sent, sender_email: alice, receiver_email: bob, content: 'mine' };
    const { message_id } = await grpc.messages.SendMessage({ message });
    const stored = await readStored(message_id);
    expect(stored.id).toBeLessThan(Number(sent.message_id));
    expect(stored.timestamp).not.toBe(sent.timestamp);
  });

  it('only ever increments message_id_counter, which holds the last id', async () => {
    let last = await readCounter();
    for (const _ of [1, 2, 3]) {
      const { message_id } = await sendMessage(alice, bob);
      expect(Number(message_id)).toBeGreaterThan(last);
      last = await readCounter();
      expect(last).toBeGreaterThanOrEqual(Number(message_id));
    }
    expect(await redis(1).type('message_id_counter')).toBe('string');
  });

  it('says "Sender does not exist", with status OK, to an unknown sender', async () => {
    for (const unknown of [newEmail('nobody'), 'not an address', 'a:b', '']) {
      const reply = await sendMessage(unknown, bob);
      expect(reply).toMatchObject({ success: false, message: 'Sender does not exist' });
      expect(reply).not.toHaveProperty('message_id');
    }
  });

  it('says "Receiver does not exist", with status OK, to an unknown receiver', async () => {
    for (const unknown of [newEmail('nobody'), 'not an address', 'a:b', '']) {
      const reply = await sendMessage(alice, unknown);
      expect(reply).toMatchObject({ success: false, message: 'Receiver does not exist' });
      expect(reply).not.toHaveProperty('message_id');
    }
  });

  it('says "Sender does not exist" when neither exists', async () => {
    const reply = await sendMessage(newEmail('nobody'), newEmail('nobody'));
    expect(reply).toMatchObject({ success: false, message: 'Sender does not exist' });
  });

  it('tells each of many that ask at once of its own parties', async () => {
    const everyone = [alice, bob, newEmail('nobody'), 'not an address', newEmail('nobody')];
    const pairs = everyone.flatMap((sender) => everyone.map((receiver) => [sender, receiver] as const));
    const replies = await Promise.all(
      pairs.map(async ([sender, receiver]) => {
        const { success, message } = await sendMessage(sender, receiver);
        return success ? 'sent' : message;
      }),
    );
    const isKnown = (email: string) => [alice, bob].includes(email);
    const expected = pairs.map(([sender, receiver]) => {
      if (!isKnown(sender)) return 'Sender does not exist';
      return isKnown(receiver) ? 'sent' : 'Receiver does not exist';
    });
    expect(replies).toStrictEqual(expected);
  });

  it('puts success: false on the wire', async () => {
    const message = { sender_email: newEmail('nobody'), receiver_email: bob, content: 'hello' };
    const output = await bufCurl(
      `${addresses.message_service_grpc}/message_service.MessageService/SendMessage`,
      {
        data: { message },
      },
    );
    expect(JSON.parse(output)).toStrictEqual({ success: false, message: 'Sender does not exist' });
  });

  it('stores nothing when a party does not exist', async () => {
    const [{ email: carol }, nobody] = [await signUp('carol'), newEmail('nobody')];
    await sendMessage(carol, nobody);
    await sendMessage(nobody, carol);
    expect(await partners(carol)).toStrictEqual([]);
    expect(await partners(nobody)).toStrictEqual([]);
    expect(await direction(carol, nobody)).toStrictEqual({});
    expect(await direction(nobody, carol)).toStrictEqual({});
    expect((await grpc.messages.GetMessages({ user_email: carol })).messages).toStrictEqual([]);
  });

  it('refuses a missing message and empty content as INVALID_ARGUMENT', async () => {
    const parties = { sender_email: alice, receiver_email: bob };
    await expectInvalidArgument(grpc.messages.SendMessage({}), /message/);
    await expectInvalidArgument(grpc.messages.SendMessage({ message: parties }), /content/);
    await expectInvalidArgument(sendMessage(alice, bob, ''), /content/);
  });

  it('takes content of exactly 64 KiB of UTF-8, and refuses one byte more', async () => {
    for (const longest of ['x'.repeat(MAX_CONTENT_BYTES), '😀'.repeat(MAX_CONTENT_BYTES / 4)]) {
      const { message_id } = await sendMessage(alice, bob, longest);
      expect((await readStored(message_id)).content).toBe(longest);
      await expectInvalidArgument(sendMessage(alice, bob, `${longest}x`), /content/);
    }
  });

  it.each([
    ['emoji', '👩‍👩‍👧‍👦 🇺🇦 e\u0301'],
    ['right-to-left text', '\u202Eשלום مرحبا\u202C'],
    ['NUL and other control characters', 'a\u0000b\u0007\u001B\u007F'],
    ['quotes and backslashes', `"'\\" \\u0041 \\n %s ' -- {"id":1}`],
    ['white space', '  \r\n\t two lines \u2028 '],
    ['markup', '<script>alert(1)</script>&amp;'],
  ])('keeps %s as they are', async (_what, content) => {
    const { message_id } = await sendMessage(alice, bob, content);
    expect((await readStored(message_id)).content).toBe(content);
    const { messages } = await grpc.messages.GetMessages({ user_email: bob });
    expect(messages).toContainEqual(expect.objectContaining({ message_id, content }));
  });
});

describe('a deleted account', () => {
  it('is unknown to the very next send, as receiver and as sender', async () => {
    const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
    expect(await sendMessage(alice.email, bob.email)).toMatchObject({ success: true });
    await rest.users().delete('/users/email').send({ email: bob.email }).expect(204);
    expect(await sendMessage(alice.email, bob.email)).toStrictEqual({
      success: false,
      message: 'Receiver does not exist',
    });
    expect(await sendMessage(bob.email, alice.email)).toStrictEqual({
      success: false,
      message: 'Sender does not exist',
    });
  });
});

describe('the keys of a conversation', () => {
  it("count each direction's messages and name its last", async () => {
    const { alice, bob } = await signUpPair();
    await sendMessage(alice, bob);
    const second = await sendMessage(alice, bob);
    const back = await sendMessage(bob, alice);
    expect(await redis(1).type(`conversation:${alice}:${bob}`)).toBe('hash');
    expect(await direction(alice, bob)).toMatchObject({
      last_message_id: second.message_id,
      last_timestamp: (await readStored(second.message_id)).timestamp,
      message_count: '2',
    });
    expect(await direction(bob, alice)).toMatchObject({
      last_message_id: back.message_id,
      last_timestamp: (await readStored(back.message_id)).timestamp,
      message_count: '1',
    });
  });

  it('hold the other party in the set of each, once', async () => {
    const { alice, bob } = await signUpPair();
    await sendMessage(alice, bob);
    await sendMessage(alice, bob);
    expect(await redis(1).type(`user:${alice}:conversations`)).toBe('set');
    expect(await partners(alice)).toStrictEqual([bob]);
    expect(await partners(bob)).toStrictEqual([alice]);
  });

  it('know of a message to oneself', async () => {
    const { email } = await signUp('alice');
    await sendMessage(email, email);
    expect(await partners(email)).toStrictEqual([email]);
    expect(await direction(email, email)).toMatchObject({ message_count: '1' });
  });
});

describe('GetMessages', () => {
  let alice: string;
  let bob: string;
  let carol: string;
  const everything = ['to bob', 'from bob', 'to carol', 'from carol', 'to bob again'];
  const withBob = ['to bob', 'from bob', 'to bob again'];

  beforeAll(async () => {
    ({ alice, bob } = await signUpPair());
    ({ email: carol } = await signUp('carol'));
    await sendAll(
      [alice, bob, 'to bob'],
      [bob, alice, 'from bob'],
      [bob, carol, 'none of hers'],
      [alice, carol, 'to carol'],
      [carol, alice, 'from carol'],
      [alice, bob, 'to bob again'],
    );
  });

  it("lists all the user's messages, sent and received, oldest first, and no others", async () => {
    const { messages, next_page_token } = await grpc.messages.GetMessages({ user_email: alice });
    expect(contents(messages)).toStrictEqual(everything);
    expect(next_page_token).toBe('');
  });

  it('lists each message as it is stored, with no other keys', async () => {
    const { messages } = await grpc.messages.GetMessages({ user_email: alice });
    const stored = await Promise.all(messages.map((message) => readStored(message.message_id)));
    expect(messages).toStrictEqual(
      stored.map(({ id, ...record }) => ({ message_id: String(id), ...record })),
    );
  });

  it('lists the newest first when asked', async () => {
    const { messages } = await grpc.messages.GetMessages({ user_email: alice, newest_first: true });
    expect(contents(messages)).toStrictEqual(everything.toReversed());
  });

  it('lists one conversation when asked', async () => {
    const parties = [
      { user_email: alice, with_email: bob },
      { user_email: bob, with_email: alice },
    ];
    for (const request of parties) {
      const oldestFirst = await grpc.messages.GetMessages(request);
      expect(contents(oldestFirst.messages)).toStrictEqual(withBob);
      const newestFirst = await grpc.messages.GetMessages({ ...request, newest_first: true });
      expect(contents(newestFirst.messages)).toStrictEqual(withBob.toReversed());
    }
  });

  it('trims and lower-cases both emails', async () => {
    const { messages } = await grpc.messages.GetMessages({
      user_email: ` ${alice.toUpperCase()}`,
      with_email: `${bob.toUpperCase()} `,
    });
    expect(contents(messages)).toStrictEqual(withBob);
  });

  it('lists nothing for someone without messages', async () => {
    const reply = await grpc.messages.GetMessages({ user_email: newEmail('nobody') });
    expect(reply).toStrictEqual({ messages: [], next_page_token: '' });
  });

  it('lists a message to oneself once', async () => {
    const { email } = await signUp('dave');
    await sendMessage(email, email, 'note to self');
    for (const request of [{ user_email: email }, { user_email: email, with_email: email }]) {
      expect(contents((await grpc.messages.GetMessages(request)).messages)).toStrictEqual(['note to self']);
    }
  });

  it.each([1, 2, 3, 5])('pages through everything %i at a time, in both directions', async (page_size) => {
    for (const newest_first of [false, true]) {
      const pages = await getMessagePages({ user_email: alice, page_size, newest_first });
      const listed = pages.flatMap(contents);
      expect(listed).toStrictEqual(newest_first ? everything.toReversed() : everything);
      expect(pages).toHaveLength(Math.ceil(everything.length / page_size));
      for (const page of pages) expect(page.length).toBeLessThanOrEqual(page_size);
    }
  });

  it('pages through one conversation', async () => {
    const pages = await getMessagePages({ user_email: bob, with_email: alice, page_size: 2 });
    expect(pages.map(contents)).toStrictEqual([withBob.slice(0, 2), withBob.slice(2)]);
  });

  it('goes on where the page ended, whatever was sent since', async () => {
    const pair = await signUpPair();
    await sendAll([pair.alice, pair.bob, '1'], [pair.alice, pair.bob, '2'], [pair.alice, pair.bob, '3']);
    const request = { user_email: pair.bob, newest_first: true, page_size: 2 };
    const first = await grpc.messages.GetMessages(request);
    await sendMessage(pair.alice, pair.bob, '4');
    const second = await grpc.messages.GetMessages({ ...request, page_token: first.next_page_token ?? '' });
    expect(contents([...first.messages, ...second.messages])).toStrictEqual(['3', '2', '1']);
  });

  it('takes a page_size of 0 as unset', async () => {
    const { messages } = await grpc.messages.GetMessages({ user_email: alice, page_size: 0 });
    expect(contents(messages)).toStrictEqual(everything);
  });

  it('refuses a negative page_size', async () => {
    await expectInvalidArgument(grpc.messages.GetMessages({ user_email: alice, page_size: -1 }), /page_size/);
  });

  it('refuses a token that is damaged or of another list', async () => {
    const request = { user_email: alice, page_size: 1 };
    const token = (await grpc.messages.GetMessages(request)).next_page_token ?? '';
    expect(token).not.toBe('');
    const refused = [
      { ...request, page_token: 'garbage' },
      { ...request, page_token: token.slice(0, -1) },
      { ...request, page_token: `x${token}` },
      { ...request, page_token: token, user_email: bob },
      { ...request, page_token: token, with_email: bob },
      { ...request, page_token: token, newest_first: true },
    ];
    for (const call of refused) await expectInvalidArgument(grpc.messages.GetMessages(call), /page_token/);
  });
});

describe('over 4 MB of messages', () => {
  it('are listed in replies below the 4 MiB that clients accept, none missing or twice', async () => {
    const { alice, bob } = await signUpPair();
    // Characters of three bytes each, and 70 times 64 KiB: over 4 MB together.
    const content = '€'.repeat(Math.floor(MAX_CONTENT_BYTES / 3));
    const sent = await Promise.all(Array.from({ length: 70 }, () => sendMessage(alice, bob, content)));
    const ids = sent.map((reply) => Number(reply.message_id)).toSorted((one, other) => one - other);

    for (const newest_first of [false, true]) {
      // The client has grpc-js's default limit: it fails when a reply is longer.
      const pages = await getMessagePages({ user_email: alice, newest_first });
      expect(pages).toHaveLength(2);
      const listed = pages.flat().map((message) => Number(message.message_id));
      expect(listed).toStrictEqual(newest_first ? ids.toReversed() : ids);
    }
  });
});

describe('500 sends at once', () => {
  const COUNT = 500;
  let alice: string;
  let bob: string;
  let succeeded: number;
  let ids: string[];

  beforeAll(async () => {
    ({ alice, bob } = await signUpPair());
    const replies = await Promise.all(
      Array.from({ length: COUNT }, (_, index) => sendMessage(alice, bob, `message ${index}`)),
    );
    succeeded = replies.filter((reply) => reply.success).length;
    ids = replies.flatMap((reply) => reply.message_id ?? []);
  });

  it('all succeed', () => {
    expect(succeeded).toBe(COUNT);
  });

  it('get ids of their own', () => {
    expect(new Set(ids).size).toBe(COUNT);
  });

  it('are all stored', async () => {
    const texts = await redis(1).mget(ids.map((id) => `message:${id}`));
    const stored = new Set(texts.map((text) => parseJson(storedMessage, text).content));
    expect(stored).toStrictEqual(new Set(Array.from({ length: COUNT }, (_, index) => `message ${index}`)));
    expect(await direction(alice, bob)).toMatchObject({ message_count: String(COUNT) });
  });

  it('are all listed without a page_size, in the order of their ids', async () => {
    const { messages } = await grpc.messages.GetMessages({ user_email: bob });
    const ordered = ids.toSorted((one, other) => Number(one) - Number(other));
    expect(messages.map((message) => message.message_id)).toStrictEqual(ordered);
  });

  it('all notify the receiver, within seconds', async () => {
    await expectSoon(() => redis(2).llen(`notifications:${bob}`)).toBe(COUNT);
  });

  it('and one more: a page_size above 500 is clamped to 500', async () => {
    await sendMessage(bob, bob);
    for (const page_size of [501, 2 ** 31 - 1]) {
      const { messages, next_page_token } = await grpc.messages.GetMessages({ user_email: bob, page_size });
      expect(messages).toHaveLength(500);
      expect(next_page_token).not.toBe('');
    }
  });
});

describe('a reply that is full just behind a batch of 1,000', () => {
  it.each([false, true])('is followed by the rest, newest first: %s', async (newest_first) => {
    const { alice, bob } = await signUpPair();
    const small = Array.from({ length: 1_000 }, (_, index) => `${index} ${'x'.repeat(3_830)}`);
    const large = Array.from({ length: 3 }, (_, index) => `large ${index} ${'x'.repeat(60_000)}`);
    // The large ones come behind a whole batch of small ones, from whichever end the list is read.
    for (const content of newest_first ? large : []) await sendMessage(alice, bob, content);
    await Promise.all(small.map((content) => sendMessage(alice, bob, content)));
    for (const content of newest_first ? [] : large) await sendMessage(alice, bob, content);

    const pages: Message[][] = [];
    let page_token = '';
    do {
      const reply = await grpc.messages.GetMessages({ user_email: bob, newest_first, page_token });
      pages.push(reply.messages);
      page_token = reply.next_page_token ?? '';
    } while (page_token !== '' && pages.length < 5);
    expect(pages.length).toBe(2);
    expect(new Set(contents(pages.flat()))).toEqual(new Set([...small, ...large]));
    expect(pages.flat()).toHaveLength(small.length + large.length);
  });
});

describe('a page token', () => {
  it('is refused when any character of it is another one', async () => {
    const { alice, bob } = await signUpPair();
    await sendAll([alice, bob, 'one'], [alice, bob, 'two'], [alice, bob, 'three']);
    const { next_page_token: token = '' } = await grpc.messages.GetMessages({
      user_email: bob,
      page_size: 1,
    });
    const damaged = Array.from({ length: token.length - 1 }, (_, index) => {
      const other = token[index] === 'A' ? 'B' : 'A';
      return `${token.slice(0, index)}${other}${token.slice(index + 1)}`;
    });
    for (const page_token of damaged) {
      await expectInvalidArgument(grpc.messages.GetMessages({ user_email: bob, page_token }), /page_token/);
    }
  });
});
