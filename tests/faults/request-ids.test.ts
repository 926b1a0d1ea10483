import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../helpers/clients.js';
import { parseJson } from '../helpers/expectations.js';
import { signIn } from '../helpers/inbox.js';
import { type ProcessName, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const alice = { email: 'alice@example.com', password: 'wonderland', name: 'Alice' };
const bob = { email: 'bob@example.com', password: 'builder', name: 'Bob' };
const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };

const line = z.looseObject({ level: z.string(), msg: z.string() });

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start({ environment: { LOG_LEVEL: 'debug' } });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const account of [alice, bob]) await clients.rest.users().post('/users').send(account).expect(201);
  await waitFor(async () => (await clients.grpc.messages.SendMessage({ message })).success, {
    what: 'a message is sent',
  });
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

/** The lines of a process that a request is named in. */
function linesAbout(requestId: string, name: ProcessName) {
  const lines = suite.process(name).output.split('\n').slice(0, -1);
  return lines.filter((text) => text.includes(requestId)).map((text) => parseJson(line, text));
}

async function expectLine(requestId: string, name: ProcessName, expected: object): Promise<void> {
  await expect.poll(() => linesAbout(requestId, name)).toContainEqual(expect.objectContaining(expected));
}

/** What a message that is sent under this id is in the logs behind the door that it came through. */
async function expectDelivered(requestId: string): Promise<void> {
  const requestIds = expect.arrayContaining([requestId]);
  await expectLine(requestId, 'user_service_grpc', { msg: 'answered', requestIds });
  await expectLine(requestId, 'notification_service_grpc', { msg: 'answered', requestIds });
  await expectLine(requestId, 'frontend_service_grpc', { msg: 'answered', requestIds });
  await expectLine(requestId, 'frontend_service_grpc', { level: 'info', msg: 'notification', requestId });
}

test('the id of a REST request comes back, and is in the lines of all that work on it', async () => {
  const requestId = 'a-rest-request';
  const answer = await clients.rest.messages().post('/messages').set('X-Request-Id', requestId).send(message);
  expect(answer.status).toBe(201);
  expect(answer.headers['x-request-id']).toBe(requestId);
  await expectLine(requestId, 'message_service_api', { requestId, path: '/messages', statusCode: 201 });
  await expectDelivered(requestId);
});

test('the id of a gRPC call is in the lines of all that work on it', async () => {
  const requestId = 'a-grpc-call';
  await clients.grpc.messages.SendMessage({ message }, { 'x-request-id': requestId });
  const method = '/message_service.MessageService/SendMessage';
  await expectLine(requestId, 'message_service_grpc', { msg: 'answered', requestId, method });
  await expectDelivered(requestId);
});

test('the id of a request to the page goes on to the REST and the gRPC doors behind it', async () => {
  const requestId = 'from-the-page';
  const cookie = await signIn(suite.addresses.frontend_service_api, alice);
  const path = `/api/conversations/${bob.email}/messages`;
  const door = clients.rest.frontend();
  await door.post(path).set({ cookie, 'X-Request-Id': requestId }).send({ content: 'hello' }).expect(201);
  await expectLine(requestId, 'message_service_grpc', { msg: 'answered', requestId });
  await expectDelivered(requestId);

  await door.get('/api/session').set({ cookie, 'X-Request-Id': 'who-is-it' }).expect(200);
  await expectLine('who-is-it', 'user_service_api', { msg: 'answered', requestId: 'who-is-it' });
});

test('a request without an id, or with one that does no good in a log, gets one of its own', async () => {
  const given = [undefined, 'two words', 'x'.repeat(129), 'tab\there', '"quoted"', 'alice@example.com', '{}'];
  const answers = await Promise.all(
    given.map(async (id) =>
      clients.rest
        .users()
        .get('/healthz')
        .set(id === undefined ? {} : { 'X-Request-Id': id }),
    ),
  );
  const ids = answers.map(({ headers }) => z.string().parse(headers['x-request-id']));
  expect(new Set(ids).size).toBe(given.length);
  for (const id of ids) {
    expect(id).toMatch(/^[\w-]{8,40}$/);
    await expectLine(id, 'user_service_api', { requestId: id, path: '/healthz' });
  }
});

test('a gRPC call that fails tells its id, as does its line', async () => {
  const call = clients.grpc.messages.SendMessage({});
  const { metadata } = z
    .object({ metadata: z.custom<{ get: (key: string) => unknown[] }>() })
    .parse(await call.catch((error: unknown) => error));
  const id = z.string().parse(metadata.get('x-request-id')[0]);
  await expectLine(id, 'message_service_grpc', { level: 'info', msg: 'failed', requestId: id });
});

test('an item of a batch that fails is logged by its own id', async () => {
  const notifications = [{ receiver_email: bob.email }, {}];
  await clients.grpc.notifications.CreateNotifications({
    notifications,
    request_ids: ['the-good-one', 'the-bad-one'],
  });
  const requestId = 'the-bad-one';
  await expectLine(requestId, 'notification_service_grpc', { level: 'info', msg: 'failed', requestId });
  expect(linesAbout('the-good-one', 'notification_service_grpc')).not.toContainEqual(
    expect.objectContaining({ msg: 'failed' }),
  );
});

test('the id is kept with what is still to be delivered, through an outage of NotificationService', async () => {
  const requestId = 'through-the-relay';
  const notificationService = suite.process('notification_service_grpc');
  notificationService.kill('SIGKILL');
  await notificationService.exited;
  await clients.grpc.messages.SendMessage({ message }, { 'x-request-id': requestId });
  await notificationService.restart();
  await waitFor(
    () => linesAbout(requestId, 'frontend_service_grpc').some(({ msg }) => msg === 'notification'),
    { what: 'the notification is shown', timeoutMs: 20_000 },
  );
  await expectDelivered(requestId);
});

test('a stream of events that lasted is not a slow request', async () => {
  const requestId = 'an-event-stream';
  const cookie = await signIn(suite.addresses.frontend_service_api, bob);
  const connection = new AbortController();
  const response = await fetch(`http://${suite.addresses.frontend_service_api}/api/events`, {
    headers: { cookie, 'x-request-id': requestId },
    signal: connection.signal,
  });
  expect(response.headers.get('x-request-id')).toBe(requestId);
  const openedAt = Date.now();
  await waitFor(() => Date.now() - openedAt > 1_100, { what: 'as long as a slow request takes is over' });
  connection.abort();
  await expectLine(requestId, 'frontend_service_api', { level: 'debug', path: '/api/events' });
});
