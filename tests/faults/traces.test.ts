import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { findFreePort } from '../helpers/free-ports.js';
import { EventStream, signIn } from '../helpers/inbox.js';
import { restClient } from '../helpers/rest.js';
import { Suite } from '../helpers/suite.js';
import { expectTrace, newTraceparent, TraceCollector } from '../helpers/trace-collector.js';
import { waitFor } from '../helpers/wait-for.js';

const alice = { email: 'alice@example.com', password: 'wonderland', name: 'Alice' };
const bob = { email: 'bob@example.com', password: 'builder', name: 'Bob' };
const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };

/** What MessageService does of a message that it is sent. */
const sending = (door: string, notifying: string[]) => [
  `client EVALSHA addMessage (${door})`,
  `client user_service.UserService/CheckUsersExist (${door})`,
  '  server user_service.UserService/CheckUsersExistStream (user_service_grpc)',
  '    client EVALSHA usersExist (user_service_grpc)',
  ...notifying,
];

/** What is done to have its receiver notified, and shown so. */
const notifying = (door: string) => [
  `consumer process outbox:notify (${door})`,
  `  client EVALSHA acknowledge (${door})`,
  `  client notification_service.NotificationService/CreateNotifications (${door})`,
  '    server notification_service.NotificationService/CreateNotificationsStream (notification_service_grpc)',
  '      client EVALSHA addUnlessUnsubscribed (notification_service_grpc)',
  '      consumer process outbox:push (notification_service_grpc)',
  '        client EVALSHA acknowledge (notification_service_grpc)',
  '        client frontend_service.FrontendService/ReceiveNotifications (notification_service_grpc)',
  '          server frontend_service.FrontendService/ReceiveNotificationsStream (frontend_service_grpc)',
  '            client EVALSHA publish (frontend_service_grpc)',
  '            producer send frontend_service.FrontendService/WatchNotifications (frontend_service_grpc)',
  '              producer send event notification (frontend_service_api)',
];

const below = (line: string, lines: string[]) => [line, ...lines.map((each) => `  ${each}`)];

let collector: TraceCollector;
let suite: Suite;
let clients: ReturnType<typeof connect>;
let stream: EventStream;

beforeAll(async () => {
  collector = await TraceCollector.start();
  suite = await Suite.start({ replicas: { frontend_service_grpc: 2 }, environment: collector.environment });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const account of [alice, bob]) await clients.rest.users().post('/users').send(account).expect(201);
  const door = suite.addresses.frontend_service_api;
  stream = await EventStream.open(door, await signIn(door, bob));
  // What comes while a stream begins may be read rather than arrive: from the second notification on, each arrives.
  await waitFor(async () => (await clients.grpc.messages.SendMessage({ message })).success, {
    what: 'a message is sent',
  });
  await waitFor(() => stream.notifications.length === 1, { what: 'the stream has begun' });
});

afterAll(async () => {
  stream.close();
  clients.close();
  await suite.stop();
  collector.stop();
});

test('a message sent from the page is one trace, from the REST door to the event on the other page', async () => {
  const traceparent = newTraceparent();
  const cookie = await signIn(suite.addresses.frontend_service_api, alice);
  await clients.rest
    .frontend()
    .post(`/api/conversations/${bob.email}/messages`)
    .set({ cookie, traceparent })
    .send({ content: 'hello' })
    .expect(201);
  await expectTrace(
    collector,
    traceparent,
    below(
      'server POST /api/conversations/:email/messages (frontend_service_api)',
      below(
        'client message_service.MessageService/SendMessage (frontend_service_api)',
        below(
          'server message_service.MessageService/SendMessage (message_service_grpc)',
          sending('message_service_grpc', notifying('message_service_grpc')),
        ),
      ),
    ),
  );
});

test('a message sent through the REST door of MessageService is one trace', async () => {
  const traceparent = newTraceparent();
  await clients.rest.messages().post('/messages').set({ traceparent }).send(message).expect(201);
  const door = 'message_service_api';
  await expectTrace(
    collector,
    traceparent,
    below(`server POST /messages (${door})`, sending(door, notifying(door))),
  );
});

test('the trace of a message goes on through the relay, once a NotificationService that was away is back', async () => {
  const notificationService = suite.process('notification_service_grpc');
  notificationService.kill('SIGKILL');
  await notificationService.exited;
  const traceparent = newTraceparent();
  await clients.grpc.messages.SendMessage({ message }, { traceparent });
  const shown = stream.notifications.length;
  await notificationService.restart();

  // Whichever door's relay is first.
  await waitFor(() => stream.notifications.length > shown, {
    what: 'the notification is shown',
    timeoutMs: 20_000,
  });
  await expect.poll(() => relayedBy(traceparent), { timeout: 20_000 }).toBeDefined();
  const door = relayedBy(traceparent) ?? '';
  await expectTrace(
    collector,
    traceparent,
    below(
      'server message_service.MessageService/SendMessage (message_service_grpc)',
      sending('message_service_grpc', notifying(door)),
    ),
  );
});

function relayedBy(traceparent: string): string | undefined {
  return /consumer process outbox:notify \((\w+)\)/.exec(collector.outlineOf(traceparent))?.[1];
}

test('the trace of a message goes on to the event, whichever replica of FrontendService was told', async () => {
  for (let sent = 0; sent < 8; sent++) {
    const traceparent = newTraceparent();
    await clients.grpc.messages.SendMessage({ message }, { traceparent });
    const door = 'message_service_grpc';
    await expectTrace(
      collector,
      traceparent,
      below(`server message_service.MessageService/SendMessage (${door})`, sending(door, notifying(door))),
    );
  }
});

test('messages that share batches are a trace each, and no span belongs to a foreign one', async () => {
  const traceparents = Array.from({ length: 40 }, newTraceparent);
  await Promise.all(
    traceparents.map(async (traceparent) => clients.grpc.messages.SendMessage({ message }, { traceparent })),
  );
  for (const traceparent of traceparents) {
    await waitFor(() => collector.outlineOf(traceparent).includes('server frontend_service'), {
      what: 'the trace has reached FrontendService',
    });
    const count = (text: string) => collector.outlineOf(traceparent).split(text).length - 1;
    expect({
      checked: count('server user_service.UserService/CheckUsersExistStream'),
      stored: count('EVALSHA addMessage'),
      notified: count('EVALSHA addUnlessUnsubscribed'),
      pushed: count('server frontend_service.FrontendService/ReceiveNotificationsStream'),
    }).toEqual({ checked: 1, stored: 1, notified: 1, pushed: 1 });
  }
});

test('what a caller does not sample is not traced', async () => {
  const [sampled, unsampled] = [newTraceparent(), newTraceparent().replace(/01$/, '00')];
  await clients.rest.messages().post('/messages').set({ traceparent: unsampled }).send(message).expect(201);
  await clients.rest.messages().post('/messages').set({ traceparent: sampled }).send(message).expect(201);
  await waitFor(() => collector.outlineOf(sampled).includes('send event notification'), {
    what: 'the later message is traced to its end',
  });
  expect(collector.outlineOf(unsampled)).toBe('');
});

test('without a caller that traces, a request begins a trace of its own, and a failure shows in it', async () => {
  await clients.rest.users().get('/users/nobody@example.com').expect(404);
  await clients.rest.users().get('/nowhere').expect(404);
  await clients.redis(0).set('users:broken@example.com', '{"name":');
  await clients.rest.users().get('/users/broken@example.com').expect(500);
  const failed = await waitFor(() => spanOf('GET /users/:email', 500), {
    what: 'the failure is traced',
  });
  expect(failed).toMatchObject({ kind: 2, status: { code: 2 } });
  expect(failed).not.toHaveProperty('parentSpanId');
  expect(spanOf('GET /users/:email', 404)?.status.code ?? 0).toBe(0);
  expect(spanOf('GET', 404)).toBeDefined();
});

function spanOf(name: string, code: number) {
  return collector.spans.find(
    (span) =>
      span.service === 'user_service_api' &&
      span.name === name &&
      span.attributes['http.response.status_code'] === code,
  );
}

test('spans say nothing of users, nor of what they write', async () => {
  const cookie = await signIn(suite.addresses.frontend_service_api, alice);
  const own = { cookie, 'Idempotency-Key': 'the key of a message' };
  const path = `/api/conversations/${bob.email}/messages`;
  await clients.rest.frontend().post(path).set(own).send({ content: 'the content' }).expect(201);
  await clients.rest.frontend().get(path).set(own).expect(200);
  await clients.rest.users().put(`/users/${bob.email}`).send({ password: 'the password' }).expect(200);
  await clients.rest.users().get(`/users/${bob.email}?query=searched`).expect(200);
  await clients.rest.users().post('/users').send(alice).expect(400);
  await waitFor(
    () =>
      collector.spans.filter(({ name }) => name === 'GET').length > 0 &&
      collector.spans.some(({ attributes }) => attributes['http.response.status_code'] === 400),
    { what: 'the last request is traced' },
  );
  for (const text of [
    'example.com',
    'the content',
    'the key',
    'the password',
    'searched',
    'wonderland',
    '$2b$',
  ]) {
    expect(collector.received).not.toContain(text);
  }
});

test('while nobody takes the spans, all else goes on, and the log says so once', async () => {
  const alone = await Suite.start({
    processes: ['user_service_api'],
    environment: {
      ...collector.environment,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await findFreePort()}`,
      // Not tried again for ten seconds.
      OTEL_EXPORTER_OTLP_TIMEOUT: '200',
    },
  });
  try {
    await alone.waitUntilReady();
    const { output } = await waitFor(
      async () => {
        const answer = await restClient('user_service_api', alone.addresses.user_service_api).get('/users');
        expect(answer.status).toBe(200);
        const process = alone.process('user_service_api');
        return process.output.includes('spans could not be handed over') && process;
      },
      { what: 'the loss is logged', timeoutMs: 20_000 },
    );
    expect(output.match(/spans could not be handed over/g)).toHaveLength(1);
  } finally {
    await alone.stop();
  }
});
