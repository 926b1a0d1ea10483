import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { type Account, connect, newEmail } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';
import { EventStream, signIn } from '../helpers/inbox.js';
import { restClient } from '../helpers/rest.js';
import { MESSAGE_CHAIN, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;
/** The REST doors for browsers: the same session is good at both. */
let doors: [string, string];
/** Each test's own: Alice writes, and Bob, to whom the cookie belongs, watches. */
let alice: Account;
let bob: Account;
let cookie: string;
let streams: EventStream[] = [];

beforeAll(async () => {
  suite = await Suite.start({
    processes: [...MESSAGE_CHAIN, 'frontend_service_api'],
    replicas: { frontend_service_grpc: 2, frontend_service_api: 2 },
    environment: { PEER_TIMEOUT_MS: '1500' },
    processEnvironment: { frontend_service_api: { MAX_WATCHES: '4', MAX_WATCHES_PER_USER: '3' } },
  });
  clients = connect(suite.addresses, suite.redis);
  doors = [suite.addresses.frontend_service_api, suite.addressesOf(2).frontend_service_api];
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

beforeEach(async () => {
  for (const running of suite.running) if (!running.isRunning) await running.restart();
  await suite.waitUntilReady();
  [alice, bob] = [await signUp('alice'), await signUp('bob')];
  cookie = await signIn(doors[0], bob);
  await waitFor(async () => (await Promise.all(doors.map(isWhole))).every(Boolean), {
    what: 'all services are reached from both doors',
    timeoutMs: 20_000,
  });
});

afterEach(() => {
  for (const stream of streams) stream.close();
  streams = [];
});

async function signUp(name: string): Promise<Account> {
  const account = { email: newEmail(name), password: 'secret', name };
  await clients.rest.users().post('/users').send(account).expect(201);
  return account;
}

async function isWhole(door: string): Promise<boolean> {
  const { body } = await restClient('frontend_service_api', door).get('/readyz');
  return !z.object({ unreachable_peers: z.array(z.string()).optional() }).parse(body).unreachable_peers
    ?.length;
}

async function open(door: string, as = cookie, lastEventId?: string): Promise<EventStream> {
  const stream = await EventStream.open(door, as, lastEventId);
  streams.push(stream);
  return stream;
}

async function openLive(door: string, lastEventId?: string): Promise<EventStream> {
  const stream = await open(door, cookie, lastEventId);
  await waitFor(() => stream.has('live'), { what: 'the stream is live' });
  return stream;
}

async function openOnceThereIsRoom(as: string): Promise<EventStream> {
  return waitFor(async () => open(doors[0], as).catch(() => undefined), { what: 'there is room' });
}

/** Asks for a stream that is not to be had. */
function askForEvents(as: string) {
  return clients.rest.frontend().get('/api/events').set('Cookie', as);
}

/** Has Alice write to Bob, which is to succeed now or soon. */
async function write(count: number): Promise<void> {
  for (let sent = 0; sent < count; sent++) {
    await waitFor(
      async () => {
        const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };
        return (await clients.grpc.messages.SendMessage({ message, request_id: crypto.randomUUID() }))
          .success;
      },
      { what: 'the message is sent' },
    );
  }
}

const idsUpTo = (last: number) => Array.from({ length: last }, (_, index) => String(index + 1));

async function expectIds(stream: EventStream, ids: string[]): Promise<void> {
  await waitFor(() => stream.notificationIds.length >= ids.length, {
    what: `${ids.length} notifications`,
    timeoutMs: 20_000,
  });
  expect(stream.notificationIds).toEqual(ids);
}

test('a stream outlives both replicas of the feed, and says so: nothing is missing or told twice', async () => {
  const stream = await openLive(doors[0]);
  await write(3);
  await expectIds(stream, idsUpTo(3));

  const feeds = [suite.process('frontend_service_grpc'), suite.replica('frontend_service_grpc')];
  for (const feed of feeds) feed.kill('SIGKILL');
  await waitFor(() => stream.has('interrupted'), { what: 'the stream says that it is not live' });
  await write(3);
  expect(stream.notificationIds).toEqual(idsUpTo(3));
  await Promise.all(feeds.map(async (feed) => feed.restart()));
  await expectIds(stream, idsUpTo(6));
  await write(1);
  await expectIds(stream, idsUpTo(7));
  const states = stream.received.map(({ event }) => event).filter((event) => event !== 'notification');
  expect(states).toEqual(['live', 'interrupted', 'live']);
});

test('of two replicas of the feed one is killed, and no stream is interrupted', async () => {
  const both = [await openLive(doors[0]), await openLive(doors[1])];
  await write(2);
  suite.replica('frontend_service_grpc').kill('SIGKILL');
  await write(3);
  await Promise.all(both.map(async (stream) => expectIds(stream, idsUpTo(5))));
  expect(both.map((stream) => stream.has('interrupted'))).toEqual([false, false]);
});

test('a browser whose replica is killed goes on at the other, with the session and place that it had', async () => {
  const stream = await openLive(doors[1]);
  await write(2);
  await expectIds(stream, ['1', '2']);
  suite.replica('frontend_service_api').kill('SIGKILL');
  await stream.ended;
  await write(2);
  await expectIds(await openLive(doors[0], stream.lastEventId), ['3', '4']);
});

test('a stop ends the streams, and the process at once', async () => {
  const stream = await openLive(doors[1]);
  const process = suite.replica('frontend_service_api');
  process.kill('SIGTERM');
  await stream.ended;
  expect(await process.exited).toEqual({ code: 0, signal: null });
});

test('a stream that begins while NotificationService is away goes live once it is back', async () => {
  const process = suite.process('notification_service_grpc');
  process.kill('SIGKILL');
  await process.exited;
  const stream = await open(doors[0]);
  await waitFor(() => stream.has('interrupted'), { what: 'the stream says that it is not live' });
  await process.restart();
  await waitFor(() => stream.has('live'), { what: 'the stream is live' });
  await write(1);
  await expectIds(stream, ['1']);
});

test('what a Redis without its data knows nothing of is no place to resume from: the stream says so', async () => {
  const stream = await openLive(doors[0]);
  await write(2);
  await expectIds(stream, ['1', '2']);
  await clients.redis(2).flushdb();
  for (const feed of [suite.process('frontend_service_grpc'), suite.replica('frontend_service_grpc')]) {
    await feed.restart();
  }
  await waitFor(() => stream.has('reset'), { what: 'the stream is reset' });
  await write(1);
  await expectIds(stream, ['1', '2', '1']);
});

test('a stream ends with its session, at whichever replica that is ended', async () => {
  const mine = await openLive(doors[0]);
  const otherSession = await signIn(doors[0], bob);
  const other = await open(doors[0], otherSession);
  await waitFor(() => other.has('live'), { what: 'the other stream is live' });

  await restClient('frontend_service_api', doors[1]).delete('/api/session').set('Cookie', cookie).expect(204);
  await mine.ended;
  const again = await clients.rest.frontend().get('/api/events').set('Cookie', cookie);
  expectRefusal(again, 401, /sign in again/);

  await write(1);
  await expectIds(other, ['1']);
});

test('a new password ends every session', async () => {
  const stream = await openLive(doors[0]);
  await clients.rest.users().put(`/users/${bob.email}`).send({ password: 'another one' }).expect(200);
  await stream.ended;
  expectRefusal(
    await clients.rest.frontend().get('/api/session').set('Cookie', cookie),
    401,
    /sign in again/,
  );
});

test('streams beyond the bounds are a 429: those of one user, and all', async () => {
  const other = await signUp('carol');
  const others = await signIn(doors[0], other);
  const mine = await openOnceThereIsRoom(cookie);
  await openOnceThereIsRoom(cookie);
  await openOnceThereIsRoom(cookie);
  expectRefusal(await askForEvents(cookie), 429, /close another window/);
  await openOnceThereIsRoom(others);
  expectRefusal(await askForEvents(others), 429, /try again/);
  mine.close();
  await openOnceThereIsRoom(cookie);
});

test('while a service is away, what needs it is a 503, and all else goes on', async () => {
  const ask = (path: string) => clients.rest.frontend().get(path).set('Cookie', cookie);
  for (const name of ['user_service_api', 'message_service_grpc'] as const)
    suite.process(name).kill('SIGKILL');
  await Promise.all(
    (['user_service_api', 'message_service_grpc'] as const).map(async (name) => suite.process(name).exited),
  );
  expectRefusal(
    await clients.rest.frontend().post('/api/session').send(bob),
    503,
    /UserService is not available/,
  );
  expectRefusal(await ask('/api/conversations'), 503, /MessageService is not available/);
  expect((await ask('/api/notifications')).status).toBe(200);
  // Who is signed in stays so.
  expect((await ask('/api/session')).body).toEqual({ email: bob.email, name: bob.name });
  const ready = await clients.rest.frontend().get('/readyz');
  expect(ready.status).toBe(200);
  expect(ready.body).toMatchObject({ unreachable_peers: ['UserService', 'MessageService'] });
  await suite.process('user_service_api').restart();
  await suite.process('message_service_grpc').restart();
  await suite.waitUntilReady();
  await waitFor(async () => (await ask('/api/conversations')).status === 200, {
    what: 'MessageService is back',
  });
  await signIn(doors[0], bob);
});
