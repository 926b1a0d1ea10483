import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { grpc, newEmail, redis, rest } from '../helpers/clients.js';
import { expectInvalidArgument, parseJson } from '../helpers/expectations.js';

const COUNT = 7;

let email: string;

beforeEach(async () => {
  email = newEmail('reader');
  for (let index = 1; index <= COUNT; index++) {
    await grpc.notifications.CreateNotification({
      sender_email: `"read":false${index}@example.com`,
      receiver_email: email,
    });
  }
});

const { ListNotifications, MarkNotificationsRead, CountUnread } = grpc.notifications;

const idsOf = (notifications: { id?: string }[]) => notifications.map(({ id }) => Number(id));

/** Reads a list to its end, a page at a time. */
async function readPages(request: Parameters<typeof ListNotifications>[0]): Promise<number[][]> {
  const pages: number[][] = [];
  let page_token = '';
  do {
    const page = await ListNotifications({ ...request, page_token });
    pages.push(idsOf(page.notifications));
    page_token = page.next_page_token ?? '';
  } while (page_token);
  return pages;
}

async function listByRest(): Promise<unknown[]> {
  const response = await rest.notifications().get('/list_notifications').query({ email }).expect(200);
  return z.object({ notifications: z.array(z.unknown()) }).parse(response.body).notifications;
}

describe('ListNotifications', () => {
  it('lists what REST lists, the newest first', async () => {
    const { notifications, next_page_token } = await ListNotifications({ email: ` ${email.toUpperCase()}` });
    expect(notifications).toStrictEqual(await listByRest());
    expect(idsOf(notifications)).toEqual([7, 6, 5, 4, 3, 2, 1]);
    expect(next_page_token).toBe('');
  });

  it('lists page by page, and is not put out by what comes meanwhile', async () => {
    const first = await ListNotifications({ email, page_size: 3 });
    await grpc.notifications.CreateNotification({ sender_email: 'new@example.com', receiver_email: email });
    const second = await ListNotifications({
      email,
      page_size: 3,
      page_token: first.next_page_token ?? '',
    });
    expect(idsOf(first.notifications)).toEqual([7, 6, 5]);
    expect(idsOf(second.notifications)).toEqual([4, 3, 2]);
  });

  it.each([
    [{ page_size: 7 }, [[7, 6, 5, 4, 3, 2, 1]]],
    [
      { page_size: 4 },
      [
        [7, 6, 5, 4],
        [3, 2, 1],
      ],
    ],
    [
      { page_size: 4, after_id: '0' },
      [
        [1, 2, 3, 4],
        [5, 6, 7],
      ],
    ],
    [{ page_size: 2, after_id: '4' }, [[5, 6], [7]]],
    [{ page_size: 3, after_id: '4' }, [[5, 6, 7]]],
    [{ after_id: '7' }, [[]]],
    [{ after_id: '100' }, [[]]],
  ])('of %j lists the pages %j', async (request, pages) => {
    expect(await readPages({ email, ...request })).toEqual(pages);
  });

  it.each([
    [
      { page_size: 2 },
      [
        [7, 5],
        [4, 1],
      ],
    ],
    [{ page_size: 2, after_id: '1' }, [[4, 5], [7]]],
    [{ after_id: '7' }, [[]]],
  ])('of %j and unread_only lists the pages %j', async (request, pages) => {
    await MarkNotificationsRead({ email, ids: ['2', '3', '6'] });
    expect(await readPages({ email, unread_only: true, ...request })).toEqual(pages);
  });

  it('lists notifications of other versions, which have no id, as the oldest', async () => {
    const old = {
      sender_email: 'a@b.c',
      receiver_email: email,
      timestamp: '2024-01-01T00:00:00Z',
      read: false,
    };
    await redis(2).rpush(`notifications:${email}`, JSON.stringify(old), JSON.stringify(old));
    const pages = await readPages({ email, page_size: 4 });
    expect(pages).toEqual([[7, 6, 5, 4], [3, 2, 1, NaN], [NaN]]);
    expect(await readPages({ email, page_size: 4, after_id: '5' })).toEqual([[6, 7]]);
  });

  it('lists nothing for nobody', async () => {
    const answer = { notifications: [], next_page_token: '', last_id: '0' };
    expect(await ListNotifications({ email: newEmail('nobody') })).toStrictEqual(answer);
    expect(await ListNotifications({ email: newEmail('nobody'), after_id: '0' })).toStrictEqual(answer);
    expect(await ListNotifications({ email: newEmail('nobody'), unread_only: true })).toStrictEqual(answer);
  });

  it('refuses what it can not use, and says what would be right', async () => {
    await expectInvalidArgument(ListNotifications({}), /email is required/);
    await expectInvalidArgument(
      ListNotifications({ email, after_id: 'x' }),
      /after_id must be the id of a notification, a decimal number/,
    );
    await expectInvalidArgument(
      ListNotifications({ email, page_size: -1 }),
      /page_size must not be negative/,
    );
    const { next_page_token } = await ListNotifications({ email, page_size: 1 });
    await expectInvalidArgument(
      ListNotifications({ email, page_size: 1, unread_only: true, page_token: next_page_token ?? '' }),
      /page_token is not valid for this list/,
    );
  });
});

describe('MarkNotificationsRead', () => {
  it('marks those with the ids, in the list and in the count, and a repeat changes nothing', async () => {
    expect(await CountUnread({ email })).toStrictEqual({ unread: COUNT });
    for (let repeat = 0; repeat < 2; repeat++) {
      expect(await MarkNotificationsRead({ email, ids: ['2', '5', '99'] })).toStrictEqual({ unread: 5 });
    }
    const { notifications } = await ListNotifications({ email });
    expect(idsOf(notifications.filter(({ read }) => read))).toEqual([5, 2]);
    expect(notifications).toStrictEqual(await listByRest());
  });

  it('marks all up to an id, and no other', async () => {
    expect(await MarkNotificationsRead({ email, up_to_id: '4' })).toStrictEqual({ unread: 3 });
    const { notifications } = await ListNotifications({ email });
    expect(idsOf(notifications.filter(({ read }) => read))).toEqual([4, 3, 2, 1]);
    const latest = await redis(2).lindex(`notifications:${email}`, 0);
    expect(parseJson(z.looseObject({ read: z.boolean() }), latest).read).toBe(false);
    expect(await MarkNotificationsRead({ email, up_to_id: '1000' })).toStrictEqual({ unread: 0 });
  });

  it('marks more than one command does', async () => {
    const many = newEmail('many');
    for (let batch = 0; batch < 5; batch++) {
      const notifications = Array.from({ length: 256 }, () => ({ receiver_email: many }));
      await grpc.notifications.CreateNotifications({ notifications });
    }
    expect(await MarkNotificationsRead({ email: many, up_to_id: '1279' })).toStrictEqual({ unread: 1 });
    const texts = await redis(2).lrange(`notifications:${many}`, 0, -1);
    expect(texts.filter((text) => text.includes('"read":false'))).toHaveLength(1);
  });

  it('refuses what it can not use', async () => {
    await expectInvalidArgument(MarkNotificationsRead({ ids: ['1'] }), /email is required/);
    await expectInvalidArgument(MarkNotificationsRead({ email, ids: ['1', '-1'] }), /ids\.1 must be the id/);
    const ids = Array.from({ length: 501 }, () => '1');
    await expectInvalidArgument(MarkNotificationsRead({ email, ids }), /ids must be 500 ids at the most/);
  });
});

describe('CountUnread', () => {
  it('counts none for nobody, and refuses a call without an email', async () => {
    expect(await CountUnread({ email: newEmail('nobody') })).toStrictEqual({ unread: 0 });
    await expectInvalidArgument(CountUnread({}), /email is required/);
  });
});
