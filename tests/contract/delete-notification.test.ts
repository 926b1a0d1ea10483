import { beforeEach, describe, expect, it } from 'vitest';
import { channel, grpc, newEmail, redis, rest } from '../helpers/clients.js';
import { expectRefusal, expectSoon } from '../helpers/expectations.js';
import { waitFor } from '../helpers/wait-for.js';
import { idsShown, watchNotifications } from '../helpers/watch.js';

const { CountUnread, CreateNotification, DeleteNotifications, ListNotifications, MarkNotificationsRead } =
  grpc.notifications;

let email: string;

beforeEach(async () => {
  email = newEmail('reader');
  for (let count = 1; count <= 5; count++) {
    await CreateNotification({
      sender_email: `sender${count}@example.com`,
      receiver_email: email,
      message_id: String(count),
    });
  }
});

async function listIds(request: { after_id?: string; unread_only?: boolean } = {}): Promise<unknown[]> {
  const { notifications } = await ListNotifications({ email, ...request });
  return notifications.map(({ id }) => id);
}

/** The ids that the original's route lists. */
async function listAllIds(): Promise<unknown[]> {
  const { body } = await rest.notifications().get('/list_notifications').query({ email });
  return body.notifications.map(({ id }: { id: string }) => id);
}

const askToDelete = (path: string, query: Record<string, string>) =>
  rest.notifications().delete(path).query(query);

describe('a notification', () => {
  it('that is deleted is in no list and no count, and the others keep their places', async () => {
    await MarkNotificationsRead({ email, ids: ['2'] });
    expect(await DeleteNotifications({ email, ids: ['2', '4', '9', '0'] })).toEqual({ deleted: 2 });
    expect(await DeleteNotifications({ email, ids: ['2', '4'] })).toEqual({ deleted: 0 });
    expect(await listIds()).toEqual(['5', '3', '1']);
    expect(await listIds({ after_id: '1' })).toEqual(['3', '5']);
    expect(await listIds({ unread_only: true })).toEqual(['5', '3', '1']);
    expect(await listAllIds()).toEqual(['5', '3', '1']);
    expect(await CountUnread({ email })).toEqual({ unread: 3 });
    expect(await MarkNotificationsRead({ email, ids: ['3', '4'] })).toEqual({ unread: 2 });
    const stored = await redis(2).lrange(`notifications:${email}`, 0, -1);
    expect(stored.join()).not.toMatch(/sender[24]@/);
  });

  it('that is deleted does not come back with a repeat of its delivery', async () => {
    await DeleteNotifications({ email, ids: ['4'] });
    await CreateNotification({ sender_email: 'sender4@example.com', receiver_email: email, message_id: '4' });
    expect(await listIds()).toEqual(['5', '3', '2', '1']);
  });

  it('is deleted with all before it, or with all that there are', async () => {
    await DeleteNotifications({ email, ids: ['1', '4'] });
    expect(await DeleteNotifications({ email, up_to_id: '3' })).toEqual({ deleted: 2 });
    expect(await listIds()).toEqual(['5']);
    expect(await CountUnread({ email })).toEqual({ unread: 1 });
    expect(await DeleteNotifications({ email, all: true })).toEqual({ deleted: 1 });
    expect(await redis(2).keys(`*${email}*`)).toEqual([`notification_counter:${email}`]);
    expect(await ListNotifications({ email })).toEqual({
      notifications: [],
      next_page_token: '',
      last_id: '5',
    });
    await CreateNotification({ sender_email: 'a@b.c', receiver_email: email });
    expect(await listIds({ after_id: '5' })).toEqual(['6']);
  });

  it('leaves pages full', async () => {
    await DeleteNotifications({ email, ids: ['5', '4', '2'] });
    const page = await ListNotifications({ email, page_size: 1 });
    expect(page).toMatchObject({ notifications: [{ id: '3' }], last_id: '5' });
    const next = await ListNotifications({ email, page_size: 1, page_token: page.next_page_token ?? '' });
    expect(next).toMatchObject({ notifications: [{ id: '1' }], next_page_token: '' });
  });

  it('that nobody has seen yet may go with all that are marked as read', async () => {
    expect(await MarkNotificationsRead({ email, all: true })).toEqual({ unread: 0 });
    expect(await listIds({ unread_only: true })).toEqual([]);
  });

  it('that is deleted leaves no watch behind, nor one that begins later', async () => {
    // What is on its way to FrontendService is shown, also when it is deleted meanwhile.
    await waitFor(
      async () => !JSON.stringify(await redis(2).xrange('outbox:push', '-', '+')).includes(email),
      { what: 'all are pushed' },
    );
    await DeleteNotifications({ email, ids: ['5', '3'] });
    const resumed = watchNotifications(channel('frontend_service_grpc'), { email, after_id: '1' });
    const begun = watchNotifications(channel('frontend_service_grpc'), { email });
    await Promise.all([resumed.established, begun.established]);
    await CreateNotification({ sender_email: 'a@b.c', receiver_email: email });
    await expectSoon(async () => idsShown(resumed)).toEqual(['2', '4', '6']);
    await expectSoon(async () => idsShown(begun)).toEqual(['6']);
    await DeleteNotifications({ email, all: true });
    await CreateNotification({ sender_email: 'a@b.c', receiver_email: email });
    await expectSoon(async () => idsShown(resumed)).toEqual(['2', '4', '6', '7']);
    await expectSoon(async () => idsShown(begun)).toEqual(['6', '7']);
    for (const watch of [resumed, begun]) watch.cancel();
  });

  it('whose id got lost on the way does not stand for all of them', async () => {
    expectRefusal(await askToDelete('/notifications/', { email }), 404, /no DELETE \/notifications\/ here/);
    expect(await listIds()).toHaveLength(5);
  });

  it('is deleted by REST as well', async () => {
    const answer = await askToDelete('/notifications/2', { email });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expectRefusal(await askToDelete('/notifications/2', { email }), 404, /has no notification 2/);
    expectRefusal(
      await askToDelete('/notifications/x', { email }),
      400,
      /id must be the id of a notification/,
    );
    expectRefusal(await askToDelete('/notifications/1', {}), 400, /email/);
    expectRefusal(await askToDelete('/notifications', {}), 400, /email/);
    expectRefusal(await askToDelete('/notifications', { email, up_to_id: 'x' }), 400, /up_to_id/);
    expectRefusal(await askToDelete('/notifications', { email, up_to_id: '' }), 400, /up_to_id/);
    const upTo3 = await askToDelete('/notifications', { email, up_to_id: '3' });
    expect(upTo3.body).toStrictEqual({ success: true, deleted: 2 });
    const read = await rest.notifications().post('/notifications/read').send({ email, all: true });
    expect(read.body).toStrictEqual({ success: true, unread: 0 });
    const all = await askToDelete('/notifications', { email });
    expect(all.body).toStrictEqual({ success: true, deleted: 2 });
    expect(await listAllIds()).toEqual([]);
  });
});
