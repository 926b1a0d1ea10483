import { readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { endedSessions } from '@messaging/service_kit/access/authority';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { bufCurl } from '../helpers/buf.js';
import { runCli } from '../helpers/cli.js';
import { connect } from '../helpers/clients.js';
import { EventStream, signIn } from '../helpers/inbox.js';
import { Suite, type ProcessName } from '../helpers/suite.js';
import { newKey, TestKeys } from '../helpers/tokens.js';
import { waitFor } from '../helpers/wait-for.js';
import { watchNotifications } from '../helpers/watch.js';

const session = z.object({
  token: z.string(),
  expires_at: z.iso.datetime(),
  refresh_token: z.string(),
  refresh_expires_at: z.iso.datetime(),
});
const publicKeys = z.object({ keys: z.array(z.looseObject({ kid: z.string() })) });
type Session = z.output<typeof session>;

let keys: TestKeys;
let suite: Suite;
let clients: ReturnType<typeof connect>;
let count = 0;

beforeAll(async () => {
  keys = await TestKeys.make();
  suite = await Suite.start({
    serviceKeysFolder: keys.servicesFolder,
    environment: { LOG_LEVEL: 'trace' },
    processEnvironment: { message_service_grpc: { REFLECTION: 'false' } },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
  await rm(keys.folder, { recursive: true });
});

async function ask(
  name: ProcessName,
  method: string,
  path: string,
  { token, body }: { token?: string; body?: object } = {},
): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`http://${suite.addresses[name]}${path}`, {
    method,
    headers: {
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(body && { 'Content-Type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
}

/** Makes an account that no other test uses. */
async function signUp(name: string) {
  const account = { email: `${name}-${++count}@example.com`, password: `the secret of ${name}`, name };
  expect((await ask('user_service_api', 'POST', '/users', { body: account })).status).toBe(201);
  return account;
}

async function logIn(account: { email: string; password: string }): Promise<Session> {
  const answer = await ask('user_service_api', 'POST', '/login', { body: account });
  expect(answer.status).toBe(200);
  return session.parse(answer.body);
}

/** Calls a method of which it knows only what the port tells. Resolves to what it is told, failures included. */
async function callByReflection(name: ProcessName, method: string): Promise<string> {
  return bufCurl(`${suite.addresses[name]}/${method}`, { data: {} }).catch(String);
}

/** The name of the status that a call ends with. */
async function codeOf(call: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await call();
    return status[status.OK];
  } catch (error) {
    return status[z.object({ code: z.number() }).parse(error).code];
  }
}

const kidOf = (token: string) => decodeProtectedHeader(token).kid;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Expects a token to be refused by UserService at once, and by the others soon. */
async function expectRefusedEverywhere(email: string, token: string): Promise<void> {
  const { users, messages, notifications } = clients.grpc;
  const refused = { code: status.UNAUTHENTICATED };
  await expect(users.GetUser({ email }, bearer(token))).rejects.toMatchObject(refused);
  expect((await ask('user_service_api', 'GET', `/users/${email}`, { token })).status).toBe(401);
  const elsewhere = [
    () => messages.GetMessages({ user_email: email }, bearer(token)),
    () => notifications.CountUnread({ email }, bearer(token)),
  ];
  await Promise.all(
    elsewhere.map(async (call) =>
      waitFor(async () => (await codeOf(call)) === 'UNAUTHENTICATED', {
        what: 'the token is refused',
        timeoutMs: 5_000,
      }),
    ),
  );
}

test('a message goes all the way, each hop by who is allowed to make it', async () => {
  const [alice, bob] = [await signUp('alice'), await signUp('bob')];
  const [alices, bobs] = [await logIn(alice), await logIn(bob)];
  const watch = watchNotifications(
    clients.channel('frontend_service_grpc'),
    { email: bob.email },
    bearer(bobs.token),
  );
  const page = await EventStream.open(
    suite.addresses.frontend_service_api,
    await signIn(suite.addresses.frontend_service_api, bob),
  );
  await waitFor(() => page.has('live'), { what: 'the page is live' });

  const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };
  const sent = await clients.grpc.messages.SendMessage({ message }, bearer(alices.token));
  expect(sent).toMatchObject({ success: true });
  await waitFor(() => page.notifications.length === 1, { what: 'the page shows it' });
  await waitFor(() => watch.shown.length === 1, { what: 'the watch shows it' });
  page.close();
  watch.cancel();

  const listed = await ask('notification_service_api', 'GET', `/list_notifications?email=${bob.email}`, {
    token: bobs.token,
  });
  expect(listed.body).toMatchObject({ notifications: [{ sender_email: alice.email }] });
  const foreign = await ask('notification_service_api', 'GET', `/list_notifications?email=${bob.email}`, {
    token: alices.token,
  });
  expect(foreign.status).toBe(403);
});

test('AuthenticateUser gives what POST /login does, and nothing where the password is wrong', async () => {
  const alice = await signUp('alice');
  const { AuthenticateUser, GetUser, RefreshToken, LogOut } = clients.grpc.users;
  const reply = await AuthenticateUser({ email: alice.email, password: alice.password });
  const { token, refresh_token } = session.parse(reply);
  expect(await GetUser({ email: alice.email }, bearer(token))).toMatchObject({
    user: { email: alice.email },
  });
  const wrong = await AuthenticateUser({ email: alice.email, password: 'wrong' });
  expect(wrong).toEqual({ email: alice.email, success: false });

  const next = await RefreshToken({ refresh_token });
  expect(next).toMatchObject({ user: { email: alice.email, name: 'alice' } });
  expect(await GetUser({ email: alice.email }, bearer(next.token ?? ''))).toBeDefined();
  expect(await LogOut({ refresh_token })).toEqual({ success: true });
  await expect(RefreshToken({ refresh_token })).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  await expectRefusedEverywhere(alice.email, next.token ?? '');
});

test('a refresh token is no token, and no part of one is good', async () => {
  const alice = await signUp('alice');
  const { refresh_token, token } = await logIn(alice);
  const [id = '', secret = ''] = refresh_token.split('.');
  for (const body of [
    `${id}.`,
    id,
    `.${secret}`,
    `${id}.${secret}x`,
    token,
    `${crypto.randomUUID()}.${secret}`,
  ]) {
    const answer = await ask('user_service_api', 'POST', '/token', { body: { refresh_token: body } });
    expect(answer.status, body).toBe(401);
  }
  const answer = await ask('user_service_api', 'GET', `/users/${alice.email}`, { token: refresh_token });
  expect(answer.status).toBe(401);
});

test('a new password, a new email and leaving end every session, streams included', async () => {
  const changes = [
    { method: 'PUT', body: { password: 'quite another secret' } },
    { method: 'PUT', body: { email: `renamed-${++count}@example.com` } },
    { method: 'DELETE' },
  ];
  for (const { method, body } of changes) {
    const alice = await signUp('alice');
    const sessions = [await logIn(alice), await logIn(alice)];
    const token = sessions[0]?.token ?? '';
    const watch = watchNotifications(
      clients.channel('frontend_service_grpc'),
      { email: alice.email },
      bearer(token),
    );
    const cookie = await signIn(suite.addresses.frontend_service_api, alice);
    const page = await EventStream.open(suite.addresses.frontend_service_api, cookie);
    await waitFor(() => page.has('live'), { what: 'the page is live' });

    const answer = await ask('user_service_api', method, `/users/${alice.email}`, {
      token,
      ...(body && { body }),
    });
    expect(answer.status).toBeLessThan(300);
    for (const { token: one, refresh_token } of sessions) {
      await expectRefusedEverywhere(alice.email, one);
      const again = await ask('user_service_api', 'POST', '/token', { body: { refresh_token } });
      expect(again.status).toBe(401);
    }
    expect(await watch.ended).toMatchObject({ code: status.UNAUTHENTICATED });
    await page.ended;
  }
});

test('a session that begins with the old password while it is replaced does not outlast it', async () => {
  const alice = await signUp('alice');
  const { token } = await logIn(alice);
  const path = `/users/${alice.email}`;
  const changing = ask('user_service_api', 'PUT', path, {
    token,
    body: { password: 'quite another secret' },
  });
  const logIns: ReturnType<typeof ask>[] = [];
  for (let index = 0; index < 20; index++) {
    logIns.push(ask('user_service_api', 'POST', '/login', { body: alice }));
    // One after the other, so that some find the account while its new password is hashed, and are checked after that.
    await sleep(5);
  }
  expect((await changing).status).toBe(200);
  const given = (await Promise.all(logIns)).flatMap(({ body }) => session.safeParse(body).data ?? []);
  const statuses = given.map(
    async ({ token: old }) => (await ask('user_service_api', 'GET', path, { token: old })).status,
  );
  expect(new Set(await Promise.all(statuses))).not.toContain(200);
});

test('that a session has ended is remembered for longer than its last token would be good', async () => {
  const alice = await signUp('alice');
  const { token, expires_at, refresh_token } = await logIn(alice);
  await ask('user_service_api', 'POST', '/logout', { body: { refresh_token } });
  const told = await ask('user_service_api', 'GET', '/ended_sessions', {
    token: await keys.serviceToken('message_service', 'user_service'),
  });
  const { sessions } = endedSessions.parse(told.body);
  const ended = sessions.find(({ session_id }) => session_id === decodeJwt(token)['sid']);
  expect(ended?.forget_at).toBeGreaterThan(Date.parse(expires_at));
});

test('a session goes on when something else about the account changes', async () => {
  const alice = await signUp('alice');
  const { token } = await logIn(alice);
  const path = `/users/${alice.email}`;
  expect((await ask('user_service_api', 'PUT', path, { token, body: { name: 'Al' } })).status).toBe(200);
  expect((await ask('user_service_api', 'GET', path, { token })).body).toMatchObject({
    user: { name: 'Al' },
  });
});

test('a new password has eight characters at the least', async () => {
  const body = { email: `short-${++count}@example.com`, password: '1234567', name: 'Short' };
  const refused = await ask('user_service_api', 'POST', '/users', { body });
  expect(refused).toMatchObject({ status: 400, body: { message: 'password must be at least 8 characters' } });
  const alice = await signUp('alice');
  const { token } = await logIn(alice);
  const changed = await ask('user_service_api', 'PUT', `/users/${alice.email}`, {
    token,
    body: { password: 'short' },
  });
  expect(changed.status).toBe(400);
});

test('all processes of UserService take the tokens of each, and show the keys to anyone', async () => {
  const alice = await signUp('alice');
  const { token } = await logIn(alice);
  expect(await clients.grpc.users.GetUser({ email: alice.email }, bearer(token))).toBeDefined();
  const published = await ask('user_service_api', 'GET', '/.well-known/jwks.json');
  const { keys: shown } = publicKeys.parse(published.body);
  expect(shown.map((key) => Object.keys(key).toSorted())).toEqual([['alg', 'crv', 'kid', 'kty', 'use', 'x']]);
  expect(shown[0]).toMatchObject({ kid: kidOf(token), crv: 'Ed25519', alg: 'EdDSA' });
});

test('while UserService is away, tokens are refused as what can not be checked, and streams go on', async () => {
  const alice = await signUp('alice');
  const { token } = await logIn(alice);
  const watch = watchNotifications(
    clients.channel('frontend_service_grpc'),
    { email: alice.email },
    bearer(token),
  );
  await watch.established;
  suite.process('user_service_api').kill('SIGKILL');
  await suite.process('user_service_api').exited;
  const read = async () => clients.grpc.messages.GetMessages({ user_email: alice.email }, bearer(token));
  await waitFor(async () => (await codeOf(read)) === 'UNAVAILABLE', { what: 'it can not be checked' });
  const ready = await ask('message_service_api', 'GET', '/readyz');
  expect(ready).toMatchObject({ status: 200, body: { unreachable_peers: ['UserService (REST)'] } });
  await suite.process('user_service_api').restart();
  await suite.waitUntilReady();
  await waitFor(async () => (await codeOf(read)) === 'OK', { what: 'it can be checked again' });
  watch.cancel();
  // Not before that: nothing else has ended it.
  expect(await watch.ended).toMatchObject({ code: status.CANCELLED });
});

test('keys from a file are replaced without a restart, and what the old one signed stays good', async () => {
  const own = await TestKeys.make();
  const other = await Suite.start({
    processes: ['user_service_api', 'message_service_api'],
    serviceKeysFolder: own.servicesFolder,
    environment: { TOKEN_KEYS_FILE: own.tokenKeysFile },
  });
  try {
    await other.waitUntilReady();
    const door = `http://${other.addresses.user_service_api}`;
    const post = async (path: string, body: object) =>
      (
        await fetch(`${door}${path}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).json();
    const account = { email: 'alice@example.com', password: 'wonderland', name: 'Alice' };
    await post('/users', account);
    const old = session.parse(await post('/login', account));
    expect(kidOf(old.token)).toBe('tests');

    const next = await newKey('next');
    const { keys: before } = z
      .object({ keys: z.array(z.unknown()) })
      .parse(JSON.parse(await readFile(own.tokenKeysFile, 'utf8')));
    await writeFile(own.tokenKeysFile, JSON.stringify({ keys: [next, ...before] }));
    await waitFor(
      async () =>
        kidOf(session.parse(await post('/token', { refresh_token: old.refresh_token })).token) === 'next',
      { what: 'the next key signs' },
    );
    const statusAt = async (url: string) => (await fetch(url, { headers: bearer(old.token) })).status;
    const ownAccount = `${door}/users/${account.email}`;
    const ownMail = `http://${other.addresses.message_service_api}/messages?user_email=${account.email}`;
    expect([await statusAt(ownAccount), await statusAt(ownMail)]).toEqual([200, 200]);

    // What a key that is gone has signed is good no longer, however often it was taken.
    await writeFile(own.tokenKeysFile, JSON.stringify({ keys: [next] }));
    for (const url of [ownAccount, ownMail]) {
      await waitFor(async () => (await statusAt(url)) === 401, { what: `${url} refuses it` });
    }

    // A file that can't be read changes nothing.
    await writeFile(own.tokenKeysFile, '{"keys":[');
    await waitFor(
      async () => {
        await fetch(`${door}/.well-known/jwks.json`);
        return other.process('user_service_api').output.includes('could not be read again');
      },
      { what: 'it is said that the file is broken' },
    );
    expect(kidOf(session.parse(await post('/login', account)).token)).toBe('next');
  } finally {
    await other.stop();
    await rm(own.folder, { recursive: true });
  }
});

test('the operator looks after it by the command line, and nobody without the key does', async () => {
  const alice = await signUp('alice');
  const target = { addresses: suite.addresses, redis: suite.redis };
  const environment = { SERVICE_KEYS_FOLDER: keys.servicesFolder };
  const listed = await runCli(target, ['users', 'list'], { environment });
  expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining(alice.email) });
  const send = ['send', '--from', alice.email, '--to', alice.email, 'hello'];
  expect(await runCli(target, send, { environment })).toMatchObject({ code: 0 });
  expect(await runCli(target, ['users', 'list'])).toMatchObject({ code: 1, stdout: '' });
});

test('what a port tells of its methods is open, and can be switched off', async () => {
  const told = await callByReflection('user_service_grpc', 'user_service.UserService/GetUser');
  expect(told).toContain('"code": "unauthenticated"');
  const untold = await callByReflection('message_service_grpc', 'message_service.MessageService/GetMessages');
  expect(untold).toContain('failed to find service');
});

test('no token, password or session is told in a log', async () => {
  const alice = await signUp('alice');
  const { token, refresh_token } = await logIn(alice);
  const secrets = [token, refresh_token, alice.password];
  await clients.grpc.messages.GetMessages({ user_email: alice.email }, bearer(token));
  await ask('message_service_api', 'GET', `/messages?user_email=${alice.email}`, { token });
  for (const wrong of [`${token}x`, `${token.slice(0, 40)}.x.y`]) {
    secrets.push(wrong);
    await ask('message_service_api', 'GET', `/messages?user_email=${alice.email}`, { token: wrong });
    const read = async () => clients.grpc.messages.GetMessages({ user_email: alice.email }, bearer(wrong));
    expect(await codeOf(read)).toBe('UNAUTHENTICATED');
  }
  await ask('user_service_api', 'POST', '/token', { body: { refresh_token } });
  await ask('user_service_api', 'POST', '/logout', { body: { refresh_token } });
  await waitFor(() => suite.process('user_service_api').output.includes('"path":"/logout"'), {
    what: 'the last request is in the log',
  });
  for (const { name, output } of suite.running) {
    for (const secret of secrets) expect(output, name).not.toContain(secret);
    expect(output, name).not.toMatch(/eyJ[\w-]+\.eyJ/);
  }
});

test('in the open mode every process says once that anyone is let in', async () => {
  const open = await Suite.start({ environment: { AUTH_MODE: 'open' } });
  try {
    await open.waitUntilReady();
    for (const { name, output } of open.running) {
      expect(output.match(/AUTH_MODE is open/g), name).toHaveLength(1);
    }
  } finally {
    await open.stop();
  }
});
