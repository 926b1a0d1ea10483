import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { Suite } from '../helpers/suite.js';
import { idsShown, type NotificationWatch, watchNotifications } from '../helpers/watch.js';
import { waitFor } from '../helpers/wait-for.js';

const email = 'watcher@example.com';

let suite: Suite;
/** What reaches one replica of FrontendService, and what reaches the other. */
let doors: ReturnType<typeof connect>[];
let watches: NotificationWatch[];

beforeEach(async () => {
  suite = await Suite.start({
    processes: ['notification_service_grpc', 'frontend_service_grpc'],
    replicas: { frontend_service_grpc: 2 },
    environment: { REDIS_TIMEOUT_MS: '1000' },
  });
  doors = [connect(suite.addresses, suite.redis), connect(suite.addressesOf(2), suite.redis)];
  watches = [];
  await suite.waitUntilReady();
});

afterEach(async () => {
  for (const watched of watches) watched.cancel();
  for (const door of doors) door.close();
  await suite.stop();
});

function watch(replica: 0 | 1, after_id: string): NotificationWatch {
  const door = doors[replica];
  if (!door) throw new Error(`there is no replica ${replica}`);
  const opened = watchNotifications(door.channel('frontend_service_grpc'), { email, after_id });
  watches.push(opened);
  return opened;
}

async function notify(count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    await doors[0]?.grpc.notifications.CreateNotification({ receiver_email: email });
  }
}

const ids = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);

async function expectIds(watched: NotificationWatch, expected: string[]): Promise<void> {
  await waitFor(() => watched.shown.length >= expected.length, {
    what: `${expected.length} notifications are shown`,
    timeoutMs: 20_000,
  });
  expect(idsShown(watched)).toEqual(expected);
}

test('a watcher of either replica is shown everything once, and resumes on the other where one is killed', async () => {
  const [staying, leaving] = [watch(0, '0'), watch(1, '0')];
  await Promise.all([staying.established, leaving.established]);
  await notify(20);
  await Promise.all([expectIds(staying, ids(1, 20)), expectIds(leaving, ids(1, 20))]);

  suite.replica('frontend_service_grpc').kill('SIGKILL');
  expect(await leaving.ended).toMatchObject({ code: status.UNAVAILABLE });
  await notify(20);
  const resumed = watch(0, idsShown(leaving).at(-1) ?? '');
  await notify(5);
  await Promise.all([expectIds(staying, ids(1, 45)), expectIds(resumed, ids(21, 45))]);
});

test('what one replica receives is shown once to the watchers of both', async () => {
  const both = [watch(0, '0'), watch(1, '0')];
  await notify(1);
  await Promise.all(both.map(async (watched) => expectIds(watched, ids(1, 1))));
  // They have no ids, so they can't be read anywhere else.
  const live = ['one@example.com', 'two@example.com', 'three@example.com'];
  const received = live.map((sender_email) => ({ sender_email, receiver_email: email }));
  const notifications = [
    ...received,
    { sender_email: 'one@example.com', receiver_email: 'other@example.com' },
  ];
  await doors[0]?.redis(0).config('RESETSTAT');
  await doors[0]?.grpc.frontend.ReceiveNotifications({ notifications });
  await waitFor(() => both.every(({ shown }) => shown.length > live.length), {
    what: 'they are shown to both',
  });
  // One message for each user: what it costs Redis does not grow with the batch.
  expect(await doors[0]?.redis(0).info('commandstats')).toMatch(/^cmdstat_publish:calls=2,/m);
  await notify(1);
  await waitFor(() => both.every(({ shown }) => shown.at(-1)?.id === '2'), { what: 'the next is shown' });
  for (const { shown } of both) expect(shown).toMatchObject([{ id: '1' }, ...received, { id: '2' }]);
});

test('what no replica was told of while they were cut off from each other is shown as soon as they are not', async () => {
  const watched = watch(0, '0');
  await notify(1);
  await expectIds(watched, ids(1, 1));
  // As NotificationService stores it; the push went to a replica that could not tell this one.
  const stored = { sender_email: 'a@b.c', receiver_email: email, timestamp: '', read: false, id: '2' };
  await doors[0]?.redis(2).incr(`notification_counter:${email}`);
  await doors[0]?.redis(2).lpush(`notifications:${email}`, JSON.stringify(stored));
  await doors[0]?.redis(0).call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await expectIds(watched, ids(1, 2));
});

test('a watch that is told of a stop says so, and what came meanwhile is shown after it', async () => {
  const watched = watch(0, '0');
  await notify(3);
  await expectIds(watched, ids(1, 3));
  const process = suite.process('frontend_service_grpc');
  process.kill('SIGTERM');
  expect(await watched.ended).toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining('shutting down'),
  });
  expect(await process.exited).toEqual({ code: 0, signal: null });
  await notify(3);
  await process.restart();
  await suite.waitUntilReady();
  await expectIds(watch(0, '3'), ids(4, 6));
});

test('what arrives is shown while Redis is away, and what was missed once it is back', async () => {
  const [local, remote] = [watch(0, '0'), watch(1, '0')];
  await notify(1);
  await Promise.all([expectIds(local, ids(1, 1)), expectIds(remote, ids(1, 1))]);
  await suite.redis.kill();
  await doors[0]?.grpc.frontend.ReceiveNotification({
    sender_email: 'live@example.com',
    receiver_email: email,
  });
  await waitFor(() => local.shown.length === 2, { what: 'it is shown' });
  expect(local.shown[1]).toMatchObject({ sender_email: 'live@example.com' });
  await suite.redis.start();
  await suite.waitUntilReady();
  await notify(2);
  await expectIds(remote, ids(1, 3));
});

test('a watch that begins while NotificationService is away is brought up to date once it is back', async () => {
  await notify(2);
  const process = suite.process('notification_service_grpc');
  process.kill('SIGKILL');
  await process.exited;
  const watched = watch(0, '0');
  await watched.established;
  expect(watched.shown).toEqual([]);
  await process.restart();
  await expectIds(watched, ids(1, 2));
});

test('the watches of an address that was left end at both replicas, and no other does', async () => {
  const watched = [watch(0, '0'), watch(1, '0')];
  const other = watchNotifications(
    doors[1]?.channel('frontend_service_grpc') ?? fail('there is no second replica'),
    { email: 'other@example.com' },
  );
  watches.push(other);
  await Promise.all([...watched, other].map(({ established }) => established));
  let hasEnded = false;
  const ended = Promise.all(watched.map((one) => one.ended)).finally(() => (hasEnded = true));
  // A replica listens for it from soon after a watch begins.
  await waitFor(
    async () => {
      await doors[0]?.grpc.frontend.EndWatches({ email: ` ${email.toUpperCase()}` });
      return hasEnded;
    },
    { what: 'both watches have ended' },
  );
  expect((await ended).map(({ code }) => code)).toEqual([status.UNAUTHENTICATED, status.UNAUTHENTICATED]);
  await doors[0]?.grpc.notifications.CreateNotification({ receiver_email: 'other@example.com' });
  await expectIds(other, ['1']);
});

test('where the other replica can not be told, ending watches is to be tried again', async () => {
  await suite.redis.kill();
  await expect(doors[0]?.grpc.frontend.EndWatches({ email })).rejects.toMatchObject({
    code: status.UNAVAILABLE,
  });
  await suite.redis.start();
  await waitFor(
    () =>
      doors[0]?.grpc.frontend.EndWatches({ email }).then(
        () => true,
        () => false,
      ),
    {
      what: 'the other replica can be told again',
    },
  );
});

function fail(reason: string): never {
  throw new Error(reason);
}
