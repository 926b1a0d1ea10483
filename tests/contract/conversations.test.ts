import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Account, grpc, newEmail, redis, sendMessage, signUp } from '../helpers/clients.js';
import { expectInvalidArgument } from '../helpers/expectations.js';

const { ListConversations, MarkConversationRead } = grpc.messages;

let others: Account[];
let reader: Account;

beforeAll(async () => {
  others = await Promise.all([signUp('alice'), signUp('bob'), signUp('carol')]);
});

beforeEach(async () => {
  reader = await signUp('reader');
});

const partner = (index: number) => others[index]?.email ?? '';

/** The reader's conversations, as pairs of whom they are with and how much of them is unread. */
async function listUnread(): Promise<unknown[]> {
  const { conversations } = await ListConversations({ user_email: reader.email });
  return conversations.map(({ email, unread }) => [email, unread]);
}

describe('ListConversations', () => {
  it('shows the last message of each, the most recent first, whoever sent it', async () => {
    await sendMessage(partner(0), reader.email, 'one');
    await sendMessage(partner(1), reader.email, 'two');
    const { message_id } = await sendMessage(reader.email, partner(0), 'three');
    const answer = await ListConversations({ user_email: ` ${reader.email.toUpperCase()}` });
    expect(answer).toStrictEqual({
      conversations: [
        {
          email: partner(0),
          unread: 1,
          last_message: {
            message_id,
            sender_email: reader.email,
            receiver_email: partner(0),
            content: 'three',
            timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
          },
        },
        { email: partner(1), unread: 1, last_message: expect.objectContaining({ content: 'two' }) },
      ],
      next_page_token: '',
    });
  });

  it('lists page by page to an empty token', async () => {
    for (const { email } of others) await sendMessage(email, reader.email);
    const seen: (string | undefined)[] = [];
    let page_token = '';
    do {
      const page = await ListConversations({ user_email: reader.email, page_size: 2, page_token });
      expect(page.conversations.length).toBeLessThanOrEqual(2);
      seen.push(...page.conversations.map(({ email }) => email));
      page_token = page.next_page_token ?? '';
    } while (page_token);
    expect(seen).toEqual([partner(2), partner(1), partner(0)]);
  });

  it('lists nothing for nobody, and refuses what it can not use', async () => {
    const answer = { conversations: [], next_page_token: '' };
    expect(await ListConversations({ user_email: newEmail('nobody') })).toStrictEqual(answer);
    await expectInvalidArgument(ListConversations({}), /user_email is required/);
    await expectInvalidArgument(
      ListConversations({ user_email: reader.email, page_token: 'x' }),
      /page_token is not valid for this list/,
    );
  });
});

describe('MarkConversationRead', () => {
  it('leaves only what came since, of that conversation alone', async () => {
    for (const index of [0, 0, 1]) await sendMessage(partner(index), reader.email);
    expect(await listUnread()).toEqual([
      [partner(1), 1],
      [partner(0), 2],
    ]);
    const request = { user_email: reader.email, with_email: ` ${partner(0).toUpperCase()}` };
    expect(await MarkConversationRead(request)).toStrictEqual({ success: true });
    expect(await listUnread()).toEqual([
      [partner(1), 1],
      [partner(0), 0],
    ]);
    await sendMessage(partner(0), reader.email);
    expect(await listUnread()).toEqual([
      [partner(0), 1],
      [partner(1), 1],
    ]);
  });

  it('counts what the other has not seen apart', async () => {
    await sendMessage(reader.email, partner(2));
    await sendMessage(partner(2), reader.email);
    await MarkConversationRead({ user_email: reader.email, with_email: partner(2) });
    const { conversations } = await ListConversations({ user_email: partner(2) });
    expect(conversations[0]).toMatchObject({ email: reader.email, unread: 1 });
  });

  it('has nothing to do for a conversation with oneself, or with nobody', async () => {
    await sendMessage(reader.email, reader.email);
    expect(await listUnread()).toEqual([[reader.email, 0]]);
    const nobody = newEmail('nobody');
    expect(await MarkConversationRead({ user_email: reader.email, with_email: nobody })).toStrictEqual({
      success: true,
    });
    expect(await redis(1).exists(`seen_messages:${reader.email}`)).toBe(0);
  });

  it('refuses a call that lacks either email', async () => {
    await expectInvalidArgument(MarkConversationRead({ with_email: 'a@b.c' }), /user_email is required/);
    await expectInvalidArgument(MarkConversationRead({ user_email: 'a@b.c' }), /with_email is required/);
  });
});
