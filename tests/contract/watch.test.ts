import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { channel, grpc, newEmail, sendMessage, signUp } from '../helpers/clients.js';
import { idsShown, type NotificationWatch, watchNotifications } from '../helpers/watch.js';
import { waitFor } from '../helpers/wait-for.js';

let email: string;
let watches: NotificationWatch[];

beforeEach(() => {
  email = newEmail('watcher');
  watches = [];
});

afterEach(() => {
  for (const watched of watches) watched.cancel();
});

function watch(request: { email?: string; after_id?: string } = { email }): NotificationWatch {
  const opened = watchNotifications(channel('frontend_service_grpc'), request);
  watches.push(opened);
  return opened;
}

const notify = () =>
  grpc.notifications.CreateNotification({ sender_email: 'sender@example.com', receiver_email: email });

async function expectIds(watched: NotificationWatch, ids: string[]): Promise<void> {
  await waitFor(() => watched.shown.length >= ids.length, { what: `${ids.join()} are shown` });
  expect(idsShown(watched)).toEqual(ids);
}

it('shows a message that comes, to everyone who watches, however the email is written', async () => {
  const [alice, bob] = await Promise.all([signUp('alice'), signUp('bob')]);
  const watched = [watch({ email: bob.email }), watch({ email: ` ${bob.email.toUpperCase()}` })];
  await Promise.all(watched.map(({ established }) => established));
  const { message_id } = await sendMessage(alice.email, bob.email);
  for (const one of watched) {
    await expectIds(one, ['1']);
    const { notifications } = await grpc.notifications.ListNotifications({ email: bob.email });
    expect(one.shown).toStrictEqual(notifications);
    expect(one.shown).toMatchObject([{ sender_email: alice.email, receiver_email: bob.email, message_id }]);
  }
});

it.each([
  ['0', ['1', '2', '3']],
  ['2', ['3']],
  ['3', []],
])('after the id %s, shows first what came since, and then what comes', async (after_id, missed) => {
  for (let count = 0; count < 3; count++) await notify();
  const watched = watch({ email, after_id });
  await expectIds(watched, missed);
  await notify();
  await expectIds(watched, [...missed, '4']);
});

it('without an id, shows only what comes', async () => {
  await notify();
  const watched = watch();
  await watched.established;
  await notify();
  await expectIds(watched, ['2']);
});

it('shows more than a page of what was missed, once each and in order', async () => {
  for (let batch = 0; batch < 5; batch++) {
    const notifications = Array.from({ length: 256 }, () => ({ receiver_email: email }));
    await grpc.notifications.CreateNotifications({ notifications });
  }
  await expectIds(
    watch({ email, after_id: '0' }),
    Array.from({ length: 1_280 }, (_, index) => `${index + 1}`),
  );
});

it('shows one that has no id as it comes, and a repeat of one that has an id not at all', async () => {
  const watched = watch({ email, after_id: '0' });
  await notify();
  await expectIds(watched, ['1']);
  await grpc.frontend.ReceiveNotification({ receiver_email: email, id: '1' });
  await grpc.frontend.ReceiveNotification({ sender_email: 'x@example.com', receiver_email: email });
  await waitFor(() => watched.shown.length > 1, { what: 'the one without an id is shown' });
  expect(watched.shown.slice(1)).toMatchObject([{ sender_email: 'x@example.com' }]);
  expect(watched.shown[1]).not.toHaveProperty('id');
});

it('reads what is missing between two ids', async () => {
  const watched = watch({ email, after_id: '0' });
  await watched.established;
  await Promise.all(Array.from({ length: 50 }, notify));
  await expectIds(
    watched,
    Array.from({ length: 50 }, (_, index) => `${index + 1}`),
  );
});

it('shows nothing of anyone else', async () => {
  const other = watch({ email: newEmail('other'), after_id: '0' });
  const watched = watch({ email, after_id: '0' });
  await Promise.all([other.established, watched.established]);
  await notify();
  await expectIds(watched, ['1']);
  expect(other.shown).toEqual([]);
});

it('refuses what it can not use, and says what would be right', async () => {
  expect(await watch({}).ended).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'email is required',
  });
  expect(await watch({ email, after_id: 'x' }).ended).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'after_id must be the id of a notification, a decimal number',
  });
});

it('refuses a user who has twenty watches another, until one of them ends', async () => {
  const first = watch();
  const open = [first, ...Array.from({ length: 19 }, () => watch())];
  await Promise.all(open.map(({ established }) => established));
  expect(await watch().ended).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    details: expect.stringContaining('end another watch'),
  });
  first.cancel();
  await waitFor(
    async () => {
      const next = watch({ email, after_id: '0' });
      const outcome = await Promise.race([next.ended, notify().then(() => 'served')]);
      return outcome === 'served';
    },
    { what: 'another watch is served' },
  );
});
