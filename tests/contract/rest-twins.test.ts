import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Account, grpc, newEmail, rest, sendMessage, signUp } from '../helpers/clients.js';
import { expectRefusal, utcTimestamp } from '../helpers/expectations.js';

let alice: Account;
let bob: Account;

beforeAll(async () => {
  [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
  for (const content of ['one', 'two', 'three']) await sendMessage(alice.email, bob.email, content);
  await sendMessage(bob.email, alice.email, 'four');
});

const page = z.looseObject({ success: z.literal(true), next_page_token: z.string() });

/** Reads a list to its end, a page at a time. */
async function readPages<Item extends z.ZodType>(
  ask: () => ReturnType<typeof rest.messages>,
  path: string,
  query: Record<string, string>,
  list: string,
  item: Item,
): Promise<z.output<Item>[][]> {
  const pages: z.output<Item>[][] = [];
  let page_token = '';
  do {
    const { body } = await ask()
      .get(path)
      .query({ ...query, page_token })
      .expect(200);
    pages.push(z.array(item).parse(page.parse(body)[list]));
    page_token = page.parse(body).next_page_token;
  } while (page_token !== '');
  return pages;
}

const message = z.strictObject({
  message_id: z.string().regex(/^\d+$/),
  sender_email: z.string(),
  receiver_email: z.string(),
  content: z.string(),
  timestamp: utcTimestamp,
});

describe('MessageService by REST', () => {
  it('lists the messages of a user, or of one conversation, as gRPC does', async () => {
    const user_email = ` ${bob.email.toUpperCase()}`;
    const inPages = await readPages(
      rest.messages,
      '/messages',
      { user_email, page_size: '3' },
      'messages',
      message,
    );
    expect(inPages.map((messages) => messages.map(({ content }) => content))).toEqual([
      ['one', 'two', 'three'],
      ['four'],
    ]);
    const { messages } = await grpc.messages.GetMessages({ user_email: bob.email });
    expect(inPages.flat()).toEqual(messages);
    const newest = await rest
      .messages()
      .get('/messages')
      .query({ user_email, with_email: alice.email, newest_first: 'true', page_size: 1 });
    expect(newest.body.messages).toMatchObject([{ content: 'four' }]);
    const none = await rest
      .messages()
      .get('/messages')
      .query({ user_email, with_email: newEmail('nobody') });
    expect(none.body).toStrictEqual({ success: true, messages: [], next_page_token: '' });
  });

  it('lists conversations with what is unread, and marks one read', async () => {
    const conversation = z.strictObject({ email: z.string(), last_message: message, unread: z.number() });
    const list = async () =>
      readPages(rest.messages, '/conversations', { user_email: bob.email }, 'conversations', conversation);
    const [[before] = []] = await list();
    expect(before).toMatchObject({ email: alice.email, unread: 3, last_message: { content: 'four' } });
    const marked = await rest
      .messages()
      .post('/conversations/read')
      .send({ user_email: bob.email, with_email: alice.email });
    expect(marked.body).toStrictEqual({ success: true, message: expect.any(String) });
    expect(await list()).toEqual([[{ ...before, unread: 0 }]]);
  });

  it.each([
    ['/messages', /user_email/],
    ['/messages?user_email=a@b.c&page_size=-1', /page_size/],
    ['/messages?user_email=a@b.c&page_token=x', /page_token/],
    ['/messages?user_email=a@b.c&newest_first=maybe', /newest_first/],
    ['/conversations', /user_email/],
    ['/conversations?user_email=a@b.c&page_token=x', /page_token/],
  ])('answers 400 to %s', async (path, fault) => {
    expectRefusal(await rest.messages().get(path), 400, fault);
  });

  it('answers 400 where it is not said what was read', async () => {
    expectRefusal(
      await rest.messages().post('/conversations/read').send({ user_email: 'a@b.c' }),
      400,
      /with_email/,
    );
  });
});

describe('NotificationService by REST', () => {
  it('lists notifications a page at a time, and only what is unread', async () => {
    const receiver = await signUp('carol');
    for (let count = 0; count < 3; count++) await sendMessage(alice.email, receiver.email);
    const { email } = receiver;
    const id = z.looseObject({ id: z.string() });
    const read = async (query: Record<string, string>) => {
      const pages = await readPages(
        rest.notifications,
        '/notifications',
        { email, ...query },
        'notifications',
        id,
      );
      return pages.map((notifications) => notifications.map((notification) => notification.id));
    };
    expect(await read({ page_size: '2' })).toEqual([['3', '2'], ['1']]);
    expect(await read({ after_id: '1' })).toEqual([['2', '3']]);

    const ask = () => rest.notifications().get('/notifications/unread_count').query({ email });
    expect((await ask()).body).toStrictEqual({ success: true, unread: 3 });
    const marked = await rest
      .notifications()
      .post('/notifications/read')
      .send({ email, ids: ['2'] });
    expect(marked.body).toStrictEqual({ success: true, unread: 2 });
    expect(await read({ unread_only: 'true' })).toEqual([['3', '1']]);
    const rest3 = await rest.notifications().post('/notifications/read').send({ email, up_to_id: '3' });
    expect(rest3.body).toStrictEqual({ success: true, unread: 0 });
    expect((await ask()).body).toStrictEqual({ success: true, unread: 0 });
  });

  it('tells and sets the subscription', async () => {
    const { email } = await signUp('dave');
    const path = `/subscriptions/${email}`;
    expect((await rest.notifications().get(path)).body).toStrictEqual({ success: true, subscribed: true });
    for (const subscribed of [false, true]) {
      const put = await rest.notifications().put(path).send({ subscribed });
      expect(put.body).toStrictEqual({ success: true, subscribed });
      expect((await rest.notifications().get(path)).body).toStrictEqual({ success: true, subscribed });
      expect(await grpc.notifications.CheckUserSubscribed({ email })).toEqual({ subscribed });
    }
  });

  it.each([
    ['/notifications', /email/],
    ['/notifications?email=a@b.c&after_id=x', /after_id/],
    ['/notifications?email=a@b.c&page_token=x', /page_token/],
    ['/notifications/unread_count', /email/],
    [`/subscriptions/${'x'.repeat(300)}`, /email/],
  ])('answers 400 to %s', async (path, fault) => {
    expectRefusal(await rest.notifications().get(path), 400, fault);
  });

  it('answers 400 to what can not be marked or set', async () => {
    const ask = rest.notifications;
    expectRefusal(
      await ask()
        .post('/notifications/read')
        .send({ ids: ['1'] }),
      400,
      /email/,
    );
    expectRefusal(
      await ask()
        .post('/notifications/read')
        .send({ email: 'a@b.c', ids: ['x'] }),
      400,
      /ids/,
    );
    expectRefusal(await ask().put('/subscriptions/a@b.c').send({ subscribed: 'yes' }), 400, /subscribed/);
    expectRefusal(await ask().put('/subscriptions/a@b.c'), 400, /JSON object/);
  });
});
