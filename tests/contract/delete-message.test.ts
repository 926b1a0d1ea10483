import { status } from '@grpc/grpc-js';
import { beforeEach, describe, expect, it } from 'vitest';
import { getMessagePages, grpc, newEmail, redis, rest, sendMessage, signUp } from '../helpers/clients.js';
import { expectInvalidArgument, expectRefusal } from '../helpers/expectations.js';

const { DeleteMessage, GetMessages, ListConversations, MarkConversationRead } = grpc.messages;

let alice: string;
let bob: string;

beforeEach(async () => {
  alice = (await signUp('alice')).email;
  bob = (await signUp('bob')).email;
});

/** Sends a message and resolves to its id. */
async function send(sender: string, receiver: string, content: string): Promise<string> {
  return (await sendMessage(sender, receiver, content)).message_id ?? '';
}

async function listContents(user_email: string, with_email = ''): Promise<unknown[]> {
  const { messages } = await GetMessages({ user_email, with_email });
  return messages.map(({ content }) => content);
}

/** A user's conversations: whom they are with, the last message, and how much is unread. */
async function listInbox(user_email: string): Promise<unknown[]> {
  const { conversations } = await ListConversations({ user_email });
  return conversations.map(({ email, last_message, unread }) => [email, last_message?.content, unread]);
}

const deleteFor = (user_email: string, message_id: string, for_both = false) =>
  DeleteMessage({ user_email, message_id, for_both });

const askToDelete = (id: string, query: Record<string, string>) =>
  rest.messages().delete(`/messages/${id}`).query(query);

/** What is kept in Redis of what one user wrote to another. */
const direction = (sender: string, receiver: string) =>
  redis(1).hgetall(`conversation:${sender}:${receiver}`);

describe('a message', () => {
  it('that one party deletes is still there for the other', async () => {
    await send(alice, bob, 'one');
    const two = await send(alice, bob, 'two');
    expect(await deleteFor(` ${bob.toUpperCase()}`, two)).toEqual({ success: true });

    expect(await listContents(bob)).toEqual(['one']);
    expect(await listContents(bob, alice)).toEqual(['one']);
    expect(await listInbox(bob)).toEqual([[alice, 'one', 1]]);
    for (const list of [await listContents(alice), await listContents(alice, bob)]) {
      expect(list).toEqual(['one', 'two']);
    }
    expect(await listInbox(alice)).toEqual([[bob, 'two', 0]]);
    expect(await direction(alice, bob)).toMatchObject({ message_count: '2', last_message_id: two });
  });

  it('that its sender deletes for both is gone', async () => {
    const one = await send(alice, bob, 'one');
    await send(bob, alice, 'answer');
    const two = await send(alice, bob, 'two');
    expect(await deleteFor(alice, two, true)).toEqual({ success: true });

    for (const [user, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      expect(await listContents(user)).toEqual(['one', 'answer']);
      expect(await listContents(user, other)).toEqual(['one', 'answer']);
      expect(await listInbox(user)).toEqual([[other, 'answer', 1]]);
    }
    expect(await redis(1).exists(`message:${two}`)).toBe(0);
    const { timestamp } = JSON.parse((await redis(1).get(`message:${one}`)) ?? '');
    expect(await direction(alice, bob)).toEqual({
      message_count: '1',
      last_message_id: one,
      last_timestamp: timestamp,
    });
  });

  it('that was the only one takes the conversation with it, and the next begins it anew', async () => {
    const only = await send(alice, bob, 'only');
    await MarkConversationRead({ user_email: bob, with_email: alice });
    await deleteFor(alice, only, true);
    for (const [user, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      expect(await listInbox(user)).toEqual([]);
      expect(await redis(1).sismember(`user:${user}:conversations`, other)).toBe(0);
    }
    expect(await redis(1).keys(`*${bob}*`)).toEqual([]);
    await send(alice, bob, 'again');
    expect(await listInbox(bob)).toEqual([[alice, 'again', 1]]);
  });

  it('that both have deleted for themselves is not kept', async () => {
    const id = await send(alice, bob, 'gone');
    await deleteFor(alice, id);
    expect(await listInbox(alice)).toEqual([]);
    expect(await listInbox(bob)).toEqual([[alice, 'gone', 1]]);
    await deleteFor(bob, id);
    expect(await redis(1).keys(`*${bob}*`)).toEqual([]);
    expect(await redis(1).exists(`message:${id}`)).toBe(0);
  });

  it('to oneself is deleted at once', async () => {
    const id = await send(alice, alice, 'note');
    await send(alice, alice, 'other note');
    await deleteFor(alice, id);
    expect(await listContents(alice)).toEqual(['other note']);
    expect(await listInbox(alice)).toEqual([[alice, 'other note', 0]]);
    expect(await redis(1).exists(`message:${id}`)).toBe(0);
  });

  it.each([
    ['by the receiver alone', (id: string) => deleteFor(bob, id)],
    ['for both', (id: string) => deleteFor(alice, id, true)],
    [
      'by one after the other',
      async (id: string) => {
        await deleteFor(bob, id);
        await deleteFor(alice, id);
      },
    ],
  ])('counts as unread until it is deleted %s, and never twice', async (_, remove) => {
    const seen = await send(alice, bob, 'seen');
    await MarkConversationRead({ user_email: bob, with_email: alice });
    const unseen = await send(alice, bob, 'unseen');
    await send(alice, bob, 'last');
    expect(await listInbox(bob)).toEqual([[alice, 'last', 2]]);
    await remove(seen);
    expect(await listInbox(bob)).toEqual([[alice, 'last', 2]]);
    await remove(unseen);
    expect(await listInbox(bob)).toEqual([[alice, 'last', 1]]);
    await send(alice, bob, 'more');
    expect(await listInbox(bob)).toEqual([[alice, 'more', 2]]);
    await MarkConversationRead({ user_email: bob, with_email: alice });
    await send(alice, bob, 'even more');
    expect(await listInbox(bob)).toEqual([[alice, 'even more', 1]]);
  });

  it('leaves pages full, and the place of a reader as it was', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 9; count++) ids.push(await send(alice, bob, `message ${count}`));
    const first = await GetMessages({ user_email: bob, with_email: alice, page_size: 3 });
    for (const id of ids.slice(1, 7)) await deleteFor(bob, id);
    const next = await GetMessages({
      user_email: bob,
      with_email: alice,
      page_size: 3,
      page_token: first.next_page_token ?? '',
    });
    expect(next.messages.map(({ content }) => content)).toEqual(['message 7', 'message 8']);
    const pages = await getMessagePages({
      user_email: bob,
      with_email: alice,
      page_size: 2,
      newest_first: true,
    });
    expect(pages.map((page) => page.map(({ content }) => content))).toEqual([
      ['message 8', 'message 7'],
      ['message 0'],
    ]);
  });

  it('is deleted once, and only by those whose it is', async () => {
    const id = await send(alice, bob, 'hello');
    const stranger = newEmail('stranger');
    const missing = { code: status.NOT_FOUND, details: `${stranger} has no message ${id}` };
    await expect(deleteFor(stranger, id)).rejects.toMatchObject(missing);
    await expect(deleteFor(stranger, id, true)).rejects.toMatchObject(missing);
    await expect(deleteFor(bob, id, true)).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    expect(await listContents(bob)).toEqual(['hello']);
    await deleteFor(bob, id);
    await expect(deleteFor(bob, id)).rejects.toMatchObject({ code: status.NOT_FOUND });
    await deleteFor(alice, id, true);
    await expect(deleteFor(alice, id, true)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('can be deleted for both for an hour', async () => {
    const id = await send(alice, bob, 'old');
    const age = async (minutes: number) => {
      const record = JSON.parse((await redis(1).get(`message:${id}`)) ?? '');
      const timestamp = new Date(Date.now() - minutes * 60_000).toISOString();
      await redis(1).set(`message:${id}`, JSON.stringify({ ...record, timestamp }));
    };
    await age(61);
    await expect(deleteFor(alice, id, true)).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringMatching(/60 minutes.*yourself/),
    });
    await age(59);
    await deleteFor(alice, id, true);
    expect(await listContents(bob)).toEqual([]);
  });

  it('is deleted by REST as well', async () => {
    const [one, two] = [await send(alice, bob, 'one'), await send(alice, bob, 'two')];
    expectRefusal(await askToDelete(one, { user_email: newEmail('x') }), 404, /has no message/);
    expectRefusal(await askToDelete(one, { user_email: bob, for_both: 'true' }), 403, /sender/);
    expectRefusal(await askToDelete('x', { user_email: bob }), 400, /message_id/);
    expectRefusal(await askToDelete(one, {}), 400, /user_email/);
    const answer = await askToDelete(one, { user_email: bob });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(await listContents(bob)).toEqual(['two']);
    await askToDelete(two, { user_email: alice, for_both: 'true' }).expect(204);
    expect(await listContents(bob)).toEqual([]);
    expect(await listContents(alice)).toEqual(['one']);
  });

  it.each(['', '0', '-1', '01', 'one', '1e3'])('has no id like %j', async (message_id) => {
    await expectInvalidArgument(deleteFor(alice, message_id), /message_id must be the id of a message/);
  });
});
