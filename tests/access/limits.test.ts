import { rm } from 'node:fs/promises';
import { Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { chromiumPath, useBrowser } from '../helpers/browser.js';
import { connect, newEmail, redis, rest, signUp } from '../helpers/clients.js';
import { expectSoon } from '../helpers/expectations.js';
import { signIn } from '../helpers/inbox.js';
import { Suite } from '../helpers/suite.js';
import { TestKeys } from '../helpers/tokens.js';
import { waitFor } from '../helpers/wait-for.js';
import { watchNotifications } from '../helpers/watch.js';

const LIMITS = {
  LOG_IN_FAILURES: '2',
  LOG_IN_FAILURES_PER_ADDRESS: '6',
  SIGN_UPS_PER_HOUR: '3',
  SENDS_PER_MINUTE: '3',
  WATCHES_PER_USER: '2',
};
const PASSWORD = 'what nobody guesses';
const HELD_SECONDS = 100;

let keys: TestKeys;
let suite: Suite;
let clients: ReturnType<typeof connect>;
let lastAddress = 0;

beforeAll(async () => {
  keys = await TestKeys.make();
  suite = await Suite.start({
    serviceKeysFolder: keys.servicesFolder,
    environment: LIMITS,
    // user_service_api trusts no proxy, only what FrontendService shows to be.
    processEnvironment: {
      user_service_grpc: { TRUST_PROXY: 'loopback' },
      frontend_service_api: { TRUST_PROXY: 'loopback' },
    },
    replicas: { frontend_service_grpc: 2 },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
  await rm(keys.folder, { recursive: true });
});

/** An address that no other test calls from (https://www.rfc-editor.org/rfc/rfc5737). */
function newAddress(): string {
  return `203.0.113.${++lastAddress}`;
}

/** Makes an account as whoever runs the suite does, who is not counted. */
async function newAccount(name: string): Promise<{ email: string; password: string; name: string }> {
  const account = { email: newEmail(name), password: PASSWORD, name };
  const token = await keys.serviceToken('operator', 'user_service');
  const answer = await clients.rest
    .users()
    .post('/users')
    .set('Authorization', `Bearer ${token}`)
    .send(account);
  expect(answer.status).toBe(201);
  return account;
}

/** Logs in at the REST door, as FrontendService does for somebody. Resolves to how that is answered. */
async function logIn(email: string, password: string) {
  const token = await keys.serviceToken('frontend_service', 'user_service');
  const answer = await clients.rest
    .users()
    .post('/login')
    .set('Authorization', `Bearer ${token}`)
    .set('X-Forwarded-For', newAddress())
    .send({ email, password });
  const { status: code, headers, body } = answer;
  const { message } = z.object({ message: z.string() }).parse(body);
  return { code, message, retryAfter: z.coerce.number().optional().parse(headers['retry-after']) };
}

const refusal = z.object({ code: z.number(), details: z.string(), metadata: z.instanceof(Metadata) });

/** Logs in at the gRPC door. Resolves to whether that succeeds, or to how it is refused. */
async function authenticate(email: string, password: string, from: string) {
  try {
    const request = { email, password };
    const { success } = await clients.grpc.users.AuthenticateUser(request, { 'x-forwarded-for': from });
    return { success };
  } catch (error) {
    const { code, metadata } = refusal.parse(error);
    return { code, retryAfter: Number(metadata.get('retry-after')[0]) };
  }
}

async function tokenOf(email: string): Promise<Record<string, string>> {
  const { token } = await clients.grpc.users.AuthenticateUser(
    { email, password: PASSWORD },
    { 'x-forwarded-for': newAddress() },
  );
  return { authorization: `Bearer ${token}` };
}

/** Ends the waits under way, as time would. */
async function endPauses(): Promise<void> {
  for (const pause of await clients.redis(0).keys('limit:*:pause:*')) await clients.redis(0).del(pause);
}

/** Has the waits under way last, however slow the machine is. */
async function holdPauses(): Promise<void> {
  for (const pause of await clients.redis(0).keys('limit:*:pause:*')) {
    await clients.redis(0).pexpire(pause, HELD_SECONDS * 1_000);
  }
}

async function guessFourTimes(email: string) {
  const outcomes = [];
  for (let attempt = 0; attempt < 3; attempt++) outcomes.push(await logIn(email, 'a guess'));
  await holdPauses();
  return [...outcomes, await logIn(email, 'a guess')];
}

/** What somebody fills in who signs up. */
function form() {
  return { email: newEmail('many'), password: PASSWORD, name: 'Many' };
}

/** Signs up at the page. */
async function signUpFrom(address: string) {
  return clients.rest.frontend().post('/api/users').set('X-Forwarded-For', address).send(form());
}

describe('log-ins to one account', () => {
  test('wait after some have failed, longer each time, at both doors; a right password is let in after it', async () => {
    const { email } = await newAccount('guessed');
    const codes = [];
    for (let attempt = 0; attempt < 3; attempt++) codes.push((await logIn(email, 'a guess')).code);
    expect(codes).toEqual([401, 401, 401]);

    await holdPauses();
    const refused = await logIn(email, PASSWORD);
    expect(refused.code).toBe(429);
    expect(refused.retryAfter).toBeGreaterThan(HELD_SECONDS / 2);
    expect(refused.message).toBe(`Too many attempts have failed; try again in ${refused.retryAfter} s`);
    const refusedByGrpc = await authenticate(email, PASSWORD, newAddress());
    expect(refusedByGrpc.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(refusedByGrpc.retryAfter).toBeGreaterThan(HELD_SECONDS / 2);

    for (const longestWait of [2, 4, 8, 16]) {
      await endPauses();
      expect((await logIn(email, 'a guess')).code).toBe(401);
      const [pause = ''] = await clients.redis(0).keys('limit:log_in:account:pause:*');
      const waitMs = await clients.redis(0).pttl(pause);
      expect(waitMs).toBeLessThanOrEqual(longestWait * 1_000);
      expect(waitMs).toBeGreaterThan((longestWait / 2) * 1_000);
    }

    await endPauses();
    expect((await logIn(email, PASSWORD)).code).toBe(200);
    const afterwards = [];
    for (let attempt = 0; attempt < 3; attempt++) afterwards.push((await logIn(email, 'a guess')).code);
    expect(afterwards).toEqual([401, 401, 401]);
  });

  test('are let through again once the time is over', async () => {
    const { email } = await newAccount('patient');
    for (let attempt = 0; attempt < 3; attempt++) await logIn(email, 'a guess');
    await expectSoon(async () => (await logIn(email, PASSWORD)).code).toBe(200);
  });

  test('are answered alike where there is no such account', async () => {
    const { email } = await newAccount('known');
    const known = await guessFourTimes(email);
    expect(known.map(({ code }) => code)).toEqual([401, 401, 401, 429]);
    expect(await guessFourTimes(newEmail('nobody'))).toEqual(known);
  });

  test('that are made all at once are counted each', async () => {
    const { email } = await newAccount('stormed');
    const outcomes = await Promise.all(Array.from({ length: 40 }, async () => logIn(email, 'a guess')));
    const checked = outcomes.filter(({ code }) => code === 401);
    expect(checked.length).toBeLessThanOrEqual(3);
    expect(outcomes.filter(({ code }) => code === 429)).toHaveLength(40 - checked.length);
  });
});

describe('log-ins from one address', () => {
  test('wait after many have failed, whoever is meant; others do not', async () => {
    const { email } = await newAccount('neighbour');
    const [guesser, other] = [newAddress(), newAddress()];
    for (let attempt = 0; attempt < 7; attempt++) {
      expect(await authenticate(newEmail('anyone'), 'a guess', guesser)).toEqual({ success: false });
    }
    await holdPauses();
    const refused = { code: status.RESOURCE_EXHAUSTED };
    expect(await authenticate(email, PASSWORD, guesser)).toMatchObject(refused);
    expect(await authenticate(email, PASSWORD, other)).toEqual({ success: true });

    // Being let in once is no excuse.
    await endPauses();
    expect(await authenticate(email, PASSWORD, guesser)).toEqual({ success: true });
    await endPauses();
    expect(await authenticate(newEmail('anyone'), 'a guess', guesser)).toEqual({ success: false });
    await holdPauses();
    expect(await authenticate(email, PASSWORD, guesser)).toMatchObject(refused);
  });

  test('an attempt that one limit refuses is not held against the other', async () => {
    const { email } = await newAccount('twice');
    const address = newAddress();
    for (let attempt = 0; attempt < 3; attempt++) await authenticate(email, 'a guess', address);
    await holdPauses();
    for (let attempt = 0; attempt < 9; attempt++) {
      expect(await authenticate(email, 'a guess', address)).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
      });
    }
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await authenticate(newEmail('anyone'), 'a guess', address)).toEqual({ success: false });
    }
  });
});

describe('sign-ups', () => {
  test('from one address are bounded, through the page as well; others are not', async () => {
    const [one, other] = [newAddress(), newAddress()];
    for (let count = 0; count < 3; count++) expect((await signUpFrom(one)).status).toBe(201);
    const refused = await signUpFrom(one);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(3_500);
    expect(refused.body).toMatchObject({
      message: expect.stringMatching(/^Too many sign-ups: at most 3 are accepted/) as unknown,
    });
    expect((await signUpFrom(other)).status).toBe(201);
  });

  test('for an email that is taken count as well: nobody finds out by the hundred who has an account', async () => {
    const { email } = await newAccount('sought');
    const address = newAddress();
    const seek = async () =>
      clients.rest
        .frontend()
        .post('/api/users')
        .set('X-Forwarded-For', address)
        .send({ ...form(), email });
    const codes = [];
    for (let count = 0; count < 4; count++) codes.push((await seek()).status);
    expect(codes).toEqual([400, 400, 400, 429]);
  });

  test('are counted by the connection, whatever a caller says of others', async () => {
    const codes = [];
    for (let count = 0; count < 4; count++) {
      const answer = await clients.rest
        .users()
        .post('/users')
        .set('X-Forwarded-For', newAddress())
        .send(form());
      codes.push(answer.status);
    }
    expect(codes).toEqual([201, 201, 201, 429]);
    // Nor does it help to show something that is no token of FrontendService's.
    const token = await keys.serviceToken('message_service', 'user_service');
    const shown = await clients.rest
      .users()
      .post('/users')
      .set('X-Forwarded-For', newAddress())
      .set('Authorization', `Bearer ${token}`)
      .send(form());
    expect(shown.status).toBe(429);
  });
});

describe('messages', () => {
  test('of one sender are bounded, at every door; a repeat is none, and others go on', async () => {
    const [sender, other] = [await newAccount('sender'), await newAccount('other')];
    const [headers, otherHeaders] = [await tokenOf(sender.email), await tokenOf(other.email)];
    const message = { sender_email: sender.email, receiver_email: other.email, content: 'hello' };
    const { SendMessage } = clients.grpc.messages;
    const sent = [];
    for (let count = 0; count < 3; count++) {
      sent.push(await SendMessage({ message, request_id: `request ${count}` }, headers));
    }
    const refused = refusal.parse(await SendMessage({ message }, headers).catch((error: unknown) => error));
    expect(refused.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(refused.details).toMatch(/^Too many messages: at most 3 are accepted in 60 seconds; try again in/);
    expect(Number(refused.metadata.get('retry-after')[0])).toBeGreaterThan(0);
    const byRest = await clients.rest.messages().post('/messages').set(headers).send(message);
    expect(byRest.status).toBe(429);
    expect(Number(byRest.headers['retry-after'])).toBeGreaterThan(0);

    const cookie = await signIn(suite.addresses.frontend_service_api, sender);
    const onThePage = await clients.rest
      .frontend()
      .post(`/api/conversations/${other.email}/messages`)
      .set('Cookie', cookie)
      .send({ content: 'hello' });
    expect(onThePage.status).toBe(429);
    expect(onThePage.body).toMatchObject({ message: expect.stringMatching(/^Too many messages/) as unknown });
    expect(Number(onThePage.headers['retry-after'])).toBeGreaterThan(1);

    expect(await SendMessage({ message, request_id: 'request 1' }, headers)).toEqual(sent[1]);
    const back = { sender_email: other.email, receiver_email: sender.email, content: 'hello' };
    expect(await SendMessage({ message: back }, otherHeaders)).toMatchObject({ success: true });
  });
});

describe('watches', () => {
  test('of one user are bounded over all replicas; what ends, or dies, makes room', async () => {
    const { email } = await newAccount('watcher');
    const headers = await tokenOf(email);
    const second = connect(suite.addressesOf(2), suite.redis);
    const watch = (at: typeof clients) =>
      watchNotifications(at.channel('frontend_service_grpc'), { email }, headers);
    const isServed = async (one: ReturnType<typeof watch>) => {
      const outcome = await one.established;
      return !z.object({ code: z.number() }).safeParse(outcome).success;
    };

    const first = watch(clients);
    expect(await isServed(first)).toBe(true);
    const leaseEnd = async () => {
      const [, end] = await clients.redis(0).zrange(`watch_leases:${email}`, '0', '0', 'WITHSCORES');
      return Number(end);
    };
    const firstEnd = await leaseEnd();
    await waitFor(async () => (await leaseEnd()) > firstEnd, { what: 'the lease is renewed' });
    const other = watch(second);
    expect(await isServed(other)).toBe(true);
    const { code, details } = await watch(clients).ended;
    expect({ code, details }).toEqual({
      code: status.RESOURCE_EXHAUSTED,
      details: `${email} has 2 watches, which is the most; end another`,
    });

    other.cancel();
    await waitFor(async () => isServed(watch(second)), { what: 'there is room again' });
    const replica = suite.replica('frontend_service_grpc');
    replica.kill('SIGKILL');
    await replica.exited;
    await waitFor(async () => isServed(watch(clients)), {
      what: 'what died has made room',
      timeoutMs: 20_000,
    });
    first.cancel();
    second.close();
  });
});

describe.skipIf(chromiumPath === undefined)('the page', () => {
  const visit = useBrowser();

  test('says how long whoever logs in has to wait', async () => {
    const { page, account, signInButton } = await visit(suite.addresses.frontend_service_api, 'Forgetful');
    await page.goto('/');
    await page.getByLabel('Email').fill(account.email);
    await page.getByLabel('Password').fill('a guess');
    for (let attempt = 0; attempt < 3; attempt++) {
      const answered = page.waitForResponse('**/api/session');
      await signInButton.click();
      expect((await answered).status()).toBe(401);
    }
    await holdPauses();
    await signInButton.click();
    await page.getByText('That was too much at once. Try again in 2 minutes.').waitFor();
  });
});

test('the open mode counts nobody', async () => {
  const { email } = await signUp('free');
  for (let attempt = 0; attempt < 10; attempt++) {
    const answer = await rest.users().post('/login').send({ email, password: 'a guess' });
    expect(answer.status).toBe(401);
  }
  expect(await redis(0).keys('limit:*')).toEqual([]);
  expect(await redis(1).keys('limit:*')).toEqual([]);
});
