import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { EventStream, signIn } from '../helpers/inbox.js';
import { restClient } from '../helpers/rest.js';
import { type ProcessName, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

// Secrets are marked, so that any part of one is found that is long enough to be of use.
const MARK = 'S3CR3T';
const secret = (name: string) => `${MARK}-${name}-${MARK}`;

const alice = { email: 'alice@example.com', password: secret('alice'), name: 'Alice' };
const bob = { email: 'bob@example.com', password: secret('bob'), name: 'Bob' };
const content = secret('content');
const message = { sender_email: alice.email, receiver_email: bob.email, content };

let suite: Suite;
let clients: ReturnType<typeof connect>;
let cookie: string;

beforeAll(async () => {
  suite = await Suite.start({
    environment: {
      LOG_LEVEL: 'trace',
      REDIS_TIMEOUT_MS: '500',
    },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const account of [alice, bob]) await clients.rest.users().post('/users').send(account).expect(201);
  cookie = await signIn(suite.addresses.frontend_service_api, alice);
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

/** Expects that no process has written any of what was sent it, once it has written of this request. */
async function expectNothingTold(name: ProcessName, requestId: string): Promise<void> {
  await waitFor(() => suite.process(name).output.includes(requestId), {
    what: `${name} has logged ${requestId}`,
  });
  const session = cookie.slice(cookie.indexOf('=') + 1);
  for (const process of suite.running) {
    const { output } = process;
    for (const told of [MARK, '$2b$', session, session.split('.')[1] ?? '']) {
      expect(output, `${process.name} tells ${told}`).not.toContain(told);
    }
  }
}

let count = 0;
const newId = () => `redaction-${++count}`;

/** Sends JSON, or what should be JSON, as it is. */
async function post(name: ProcessName, path: string, body: string, headers: Record<string, string> = {}) {
  const requestId = newId();
  const { status } = await restClient(name, suite.addresses[name])
    .post(path)
    .set({ 'content-type': 'application/json', 'x-request-id': requestId, ...headers })
    .send(body);
  return { requestId, status };
}

test('passwords, right and wrong, and what is made of them', async () => {
  const users = clients.rest.users();
  const wrong = { email: alice.email, password: secret('wrong') };
  await users.post('/login').send(alice).expect(200);
  await users.post('/login').send(wrong).expect(401);
  await users
    .post('/users')
    .send({ ...alice, password: secret('x'.repeat(100)) })
    .expect(400);
  await users
    .put(`/users/${bob.email}`)
    .send({ password: secret('new'), [secret('key')]: secret('value') })
    .expect(400);
  await users
    .put('/users/email')
    .send({ email: bob.email, data: { password: secret('new') } })
    .expect(200);
  await clients.grpc.users.AuthenticateUser(wrong);
  await clients.grpc.users.ListUsers({});
  await clients.rest.frontend().post('/api/session').send(wrong).expect(401);
  const requestId = newId();
  await users
    .get(`/users/${alice.email}`)
    .set({ 'x-request-id': requestId, authorization: secret('header') });
  await expectNothingTold('user_service_api', requestId);
});

test.each<[string, string, Record<string, string>, number]>([
  ['that is cut off', `{"password": "${secret('cut off')}`, {}, 400],
  ['that is no JSON', secret('no JSON'), {}, 400],
  ['that is another kind of JSON', `["${secret('an array')}"]`, {}, 400],
  [
    'in another type',
    `password=${secret('a form')}`,
    { 'content-type': 'application/x-www-form-urlencoded' },
    400,
  ],
  [
    'in an unknown charset',
    `{"password": "${secret('charset')}"}`,
    { 'content-type': 'application/json; charset=x' },
    400,
  ],
  ['in an unknown encoding', `{"password": "${secret('encoding')}"}`, { 'content-encoding': 'x' }, 400],
  ['that is too large', `{"password": "${secret('x'.repeat(200_000))}"}`, {}, 413],
])('a body %s', async (_, body, headers, expected) => {
  const { requestId, status } = await post('user_service_api', '/users', body, headers);
  expect(status).toBe(expected);
  await expectNothingTold('user_service_api', requestId);
});

test('contents, accepted and refused, by each door', async () => {
  await clients.grpc.messages.SendMessage({ message, request_id: secret('key') });
  await clients.grpc.messages.GetMessages({ user_email: alice.email });
  for (const refused of ['', `${content}${'x'.repeat(70_000)}`, `${content}\ud800`]) {
    await clients.grpc.messages.SendMessage({ message: { ...message, content: refused } }).catch(() => {});
    await clients.rest
      .messages()
      .post('/messages')
      .send({ ...message, content: refused });
  }
  await clients.rest
    .messages()
    .post('/messages')
    .set('Idempotency-Key', secret('key'))
    .send({ ...message, content: 'x' })
    .expect(422);
  await clients.rest
    .messages()
    .get(`/messages?user_email=${alice.email}&page_token=${secret('token')}`)
    .expect(400);
  const stream = await EventStream.open(suite.addresses.frontend_service_api, cookie);
  const door = clients.rest.frontend();
  const requestId = newId();
  const path = `/api/conversations/${bob.email}/messages`;
  await door.post(path).set({ cookie, 'x-request-id': requestId }).send({ content }).expect(201);
  stream.close();
  await expectNothingTold('frontend_service_api', requestId);
  await expectNothingTold('message_service_grpc', requestId);
});

test('sessions, good and forged', async () => {
  const door = clients.rest.frontend();
  await door.get('/api/session').set({ cookie }).expect(200);
  for (const forged of [
    `${cookie}${MARK}`,
    `inbox_session=${secret('session')}`,
    cookie.replace('.', `.${MARK}`),
  ]) {
    await door.get('/api/session').set({ cookie: forged }).expect(401);
  }
  const requestId = newId();
  await door.get('/api/conversations').set({ cookie, 'x-request-id': requestId }).expect(200);
  await expectNothingTold('frontend_service_api', requestId);
});

test('a gRPC message that can not be read', async () => {
  const password = Buffer.from(secret('in bytes'));
  const client = new Client(suite.addresses.user_service_grpc, credentials.createInsecure());
  const call = () =>
    new Promise((resolve) => {
      client.makeUnaryRequest(
        '/user_service.UserService/AuthenticateUser',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        // A password, and then a field of a kind that there is not.
        Buffer.concat([Buffer.from([0x12, password.length]), password, Buffer.from([0x0f])]),
        new Metadata(),
        { deadline: Date.now() + 5_000 },
        (error) => resolve(error),
      );
    });
  expect(await call()).toMatchObject({ code: expect.any(Number) });
  client.close();
  const requestId = newId();
  await clients.grpc.users.AuthenticateUser(
    { email: alice.email, password: 'x' },
    { 'x-request-id': requestId },
  );
  await expectNothingTold('user_service_grpc', requestId);
});

test('records in Redis that can not be read', async () => {
  const hash = `$2b$10$${MARK}`;
  const records = [
    `{"name":"Eve","email":"eve@example.com","password":"${hash}"`,
    `{"name":"Eve","email":"eve@example.com","password":["${hash}"]}`,
    hash,
  ];
  for (const record of records) {
    await clients.redis(0).set('users:eve@example.com', record);
    const requestId = newId();
    const login = { email: 'eve@example.com', password: secret('eve') };
    await clients.rest.users().post('/login').set('x-request-id', requestId).send(login).expect(500);
    await clients.grpc.users.AuthenticateUser(login).catch(() => {});
    await expectNothingTold('user_service_api', requestId);
  }
  await clients.redis(0).del('users:eve@example.com');

  await clients.redis(1).set('message:1', `{"content":"${content}`);
  await clients.grpc.messages.GetMessages({ user_email: alice.email }).catch(() => {});
  const requestId = newId();
  const messages = clients.rest.messages().get(`/messages?user_email=${alice.email}`);
  await messages.set('x-request-id', requestId).expect(500);
  await expectNothingTold('message_service_api', requestId);
});

test('commands that Redis refuses, or does not answer', async () => {
  // ioredis puts a command's arguments into the error: here the hash of a password, and a message.
  const account = { email: 'dora@example.com', password: secret('dora'), name: 'Dora' };
  await clients.redis(0).rename('user_index', 'kept_index');
  await clients.redis(0).set('user_index', 'not a sorted set');
  await clients.rest.users().post('/users').send(account).expect(500);
  await clients.redis(0).rename('kept_index', 'user_index');
  await clients.redis(1).rename(`mailbox:${alice.email}`, 'kept_mailbox');
  await clients.redis(1).set(`mailbox:${alice.email}`, 'not a sorted set');
  await clients.grpc.messages.SendMessage({ message }).catch(() => {});
  await clients.rest.messages().post('/messages').send(message).expect(500);
  await clients.redis(1).rename('kept_mailbox', `mailbox:${alice.email}`);

  suite.redis.pause();
  const unanswered = await post('user_service_api', '/users', JSON.stringify(account));
  await post('message_service_api', '/messages', JSON.stringify(message));
  suite.redis.resume();
  expect(unanswered.status).toBe(503);
  await expectNothingTold('user_service_api', unanswered.requestId);

  await suite.redis.kill();
  const refused = await post('message_service_api', '/messages', JSON.stringify(message));
  expect(refused.status).toBe(503);
  await suite.redis.start();
  await suite.waitUntilReady();
  await expectNothingTold('message_service_api', refused.requestId);
});
