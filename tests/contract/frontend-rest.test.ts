import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { isFrontendRestAbsent } from '../helpers/absent.js';
import { type Account, addresses, grpc, newEmail, rest, sendMessage, signUp } from '../helpers/clients.js';
import { expectRefusal, utcTimestamp } from '../helpers/expectations.js';
import { EventStream, signIn } from '../helpers/inbox.js';
import { waitFor } from '../helpers/wait-for.js';

/** Two people who know each other, and their cookies. */
let alice: Account;
let bob: Account;
let alices: string;
let bobs: string;

type Method = 'get' | 'head' | 'post' | 'put' | 'delete';
const ask = (cookie: string, method: Method, path: string) =>
  rest.frontend()[method](`/api${path}`).set('Cookie', cookie);
const threadOf = ({ email }: { email: string }) => `/conversations/${email}/messages`;

/** Has Alice write to Bob. */
function sendOnce(key: string, content: string) {
  return ask(alices, 'post', threadOf(bob)).set('Idempotency-Key', key).send({ content });
}

async function newPerson(name: string): Promise<{ account: Account; cookie: string }> {
  const account = await signUp(name);
  return { account, cookie: await signIn(addresses.frontend_service_api, account) };
}

async function open(cookie: string, lastEventId?: string, query?: string): Promise<EventStream> {
  const stream = await EventStream.open(addresses.frontend_service_api, cookie, lastEventId, query);
  onTestFinished(() => stream.close());
  return stream;
}

async function expectNotifications(stream: EventStream, ids: string[]): Promise<void> {
  await waitFor(() => stream.notificationIds.length >= ids.length, {
    what: `${ids.length} notifications`,
  });
  expect(stream.notificationIds).toEqual(ids);
}

/** The challenge's own docker-compose.yml knows nothing of this door. */
describe.skipIf(isFrontendRestAbsent)('the REST door for browsers', () => {
  beforeAll(async () => {
    ({ account: alice, cookie: alices } = await newPerson('alice'));
    ({ account: bob, cookie: bobs } = await newPerson('bob'));
  });

  /** Every route that is for the signed-in user alone. */
  const guarded: [Method, string, object?][] = [
    ['get', '/session'],
    ['delete', '/session'],
    ['get', '/conversations'],
    ['get', '/conversations/bob@example.com/messages'],
    ['post', '/conversations/bob@example.com/messages', { content: 'hello' }],
    ['post', '/conversations/bob@example.com/read'],
    ['get', '/notifications'],
    ['post', '/notifications/read', { up_to_id: '1' }],
    ['get', '/subscription'],
    ['put', '/subscription', { subscribed: false }],
    ['get', '/events'],
  ];

  describe('sign up and log in', () => {
    it('creates an account as UserService does, and refuses what it refuses', async () => {
      const account = { email: newEmail('carol'), password: 'secret', name: 'Carol' };
      const created = await rest.frontend().post('/api/users').send(account);
      expect(created.status).toBe(201);
      expect(created.body).toStrictEqual({ success: true, message: expect.any(String) });

      for (const body of [account, { email: newEmail('dave') }, { ...account, email: 'no address' }, {}]) {
        const [here, there] = await Promise.all([
          rest.frontend().post('/api/users').send(body),
          rest.users().post('/users').send(body),
        ]);
        expectRefusal(here, 400);
        expect(here.body).toEqual(there.body);
      }
      expectRefusal(await rest.frontend().post('/api/users'), 400, /JSON object/);
    });

    it('gives a cookie that no script can read and no other site can send', async () => {
      const { email, password, name } = alice;
      const response = await rest
        .frontend()
        .post('/api/session')
        .send({ email: ` ${email.toUpperCase()}`, password });
      expect(response.status).toBe(200);
      expect(response.body).toStrictEqual({ email, name });
      const [cookie] = z.tuple([z.string()]).parse(response.headers['set-cookie']);
      expect(cookie).toMatch(/; HttpOnly/);
      expect(cookie).toMatch(/; SameSite=Strict/);
      expect(cookie).toMatch(/; Path=\//);
      expect(cookie).not.toMatch(/; Secure/);
      expect(cookie).not.toContain(password);
      expect(response.headers['cache-control']).toBe('no-store');
    });

    it('keeps the cookie to TLS where the page came over TLS', async () => {
      const { email, password } = alice;
      const response = await rest
        .frontend()
        .post('/api/session')
        .set({ Host: 'inbox.example', Origin: 'https://inbox.example' })
        .send({ email, password });
      expect(response.headers['set-cookie']).toEqual([expect.stringMatching(/; Secure/)]);
    });

    it('answers 401 to a wrong password and to an unknown user alike', async () => {
      const wrong = await rest
        .frontend()
        .post('/api/session')
        .send({ email: alice.email, password: 'wrong' });
      const unknown = await rest
        .frontend()
        .post('/api/session')
        .send({ email: newEmail('nobody'), password: 'x' });
      expectRefusal(wrong, 401);
      expectRefusal(unknown, 401);
      expect(wrong.body).toEqual(unknown.body);
      expect(wrong.headers).not.toHaveProperty('set-cookie');
      expectRefusal(await rest.frontend().post('/api/session').send({ email: alice.email }), 400, /password/);
    });

    it('tells who is signed in, as the account is now', async () => {
      const { account, cookie } = await newPerson('erin');
      await rest.users().put(`/users/${account.email}`).send({ name: 'Erin II' }).expect(200);
      const response = await ask(cookie, 'get', '/session');
      expect(response.body).toStrictEqual({ email: account.email, name: 'Erin II' });
    });

    it('ends the session of an account that is gone', async () => {
      const { account, cookie } = await newPerson('frank');
      await rest.users().delete(`/users/${account.email}`).expect(204);
      expectRefusal(await ask(cookie, 'get', '/session'), 401);
      const sent = await ask(cookie, 'post', threadOf(bob)).send({ content: 'still here' });
      expectRefusal(sent, 401);
    });

    it('logs out: the cookie is gone, and of no use to whoever has kept it', async () => {
      const cookie = await signIn(addresses.frontend_service_api, alice);
      const response = await ask(cookie, 'delete', '/session');
      expect(response.status).toBe(204);
      expect(response.headers['set-cookie']).toEqual([
        expect.stringMatching(/^inbox_session=;.*Expires=Thu, 01 Jan 1970/),
      ]);
      expectRefusal(await ask(cookie, 'get', '/conversations'), 401);
      expect((await ask(alices, 'get', '/conversations')).status).toBe(200);
    });
  });

  describe('who is not signed in', () => {
    it.each(guarded)('is refused %s %s', async (method, path, body) => {
      const request = rest.frontend()[method](`/api${path}`);
      expectRefusal(await request.send(body), 401);
    });

    it('is refused with a cookie that was forged or altered', async () => {
      const [name = '', token = ''] = alices.split('=');
      const [id = '', secret = ''] = token.split('.');
      const [bobsId = ''] = bobs.slice(bobs.indexOf('=') + 1).split('.');
      for (const forged of [
        '',
        'x',
        '.',
        id,
        `${id}.`,
        `.${secret}`,
        `${id}.${secret}x`,
        `${bobsId}.${secret}`,
      ]) {
        expectRefusal(await ask(`${name}=${forged}`, 'get', '/conversations'), 401);
      }
      expect((await ask(alices, 'get', '/conversations')).status).toBe(200);
    });
  });

  describe('a page of another origin', () => {
    const changing = [
      ...guarded.filter(([method]) => method !== 'get'),
      ['post', '/users', { email: newEmail('x'), password: 'x', name: 'x' }],
      ['post', '/session', { email: newEmail('x'), password: 'x' }],
    ] satisfies typeof guarded;

    it.each(changing)('is refused %s %s', async (method, path, body) => {
      for (const headers of [
        { Origin: 'http://evil.example' },
        { Origin: 'null' },
        { 'Sec-Fetch-Site': 'cross-site' },
        { 'Sec-Fetch-Site': 'same-site', Origin: 'http://127.0.0.1:8080' },
      ]) {
        expectRefusal(await ask(alices, method, path).set(headers).send(body), 403);
      }
    });

    it('is none where the origin is the same', async () => {
      for (const headers of [
        { Origin: `http://${addresses.frontend_service_api}` },
        { 'Sec-Fetch-Site': 'same-origin' },
        // Behind a proxy that passes on another host, the browser knows better.
        { 'Sec-Fetch-Site': 'same-origin', Origin: 'https://inbox.example' },
      ]) {
        const response = await ask(alices, 'put', '/subscription').set(headers).send({ subscribed: true });
        expect(response.status).toBe(200);
      }
    });
  });

  describe('conversations', () => {
    it('sends, lists and pages messages, the newest first', async () => {
      const [{ account: carol, cookie }, { account: dave, cookie: daves }] = await Promise.all([
        newPerson('carol'),
        newPerson('dave'),
      ]);
      for (const content of ['one', 'two', 'three']) {
        const sent = await ask(cookie, 'post', threadOf(dave)).send({ content });
        expect(sent.status).toBe(201);
        expect(sent.body).toStrictEqual({ message_id: expect.stringMatching(/^\d+$/) });
      }
      const first = await ask(daves, 'get', `${threadOf(carol)}?page_size=2`);
      const token: unknown = first.body.next_page_token;
      const second = await ask(daves, 'get', `${threadOf(carol)}?page_size=2&page_token=${String(token)}`);
      const messages = z
        .array(
          z.strictObject({
            message_id: z.string(),
            sender_email: z.literal(carol.email),
            receiver_email: z.literal(dave.email),
            content: z.string(),
            timestamp: utcTimestamp,
          }),
        )
        .parse([...first.body.messages, ...second.body.messages]);
      expect(messages.map(({ content }) => content)).toEqual(['three', 'two', 'one']);
      expect(second.body.next_page_token).toBe('');

      const listed = await ask(daves, 'get', '/conversations');
      expect(listed.body).toStrictEqual({
        conversations: [{ email: carol.email, last_message: messages[0], unread: 3 }],
        next_page_token: '',
      });
      expect((await ask(daves, 'post', `/conversations/${carol.email}/read`)).status).toBe(204);
      const afterwards = await ask(daves, 'get', '/conversations');
      expect(afterwards.body.conversations).toMatchObject([{ email: carol.email, unread: 0 }]);
    });

    it('lists the most recent conversation first, page by page', async () => {
      const { account, cookie } = await newPerson('erin');
      const others = await Promise.all(['a', 'b', 'c'].map(async (name) => signUp(name)));
      for (const { email } of others) await sendMessage(email, account.email);
      const seen: string[] = [];
      let token = '';
      do {
        const page = await ask(cookie, 'get', `/conversations?page_size=2&page_token=${token}`);
        const { conversations, next_page_token } = z
          .object({ conversations: z.array(z.object({ email: z.string() })), next_page_token: z.string() })
          .parse(page.body);
        seen.push(...conversations.map(({ email }) => email));
        token = next_page_token;
      } while (token);
      expect(seen).toEqual(others.map(({ email }) => email).toReversed());
    });

    it('stores a message once, however often the same request comes', async () => {
      const key = newEmail('key');
      const first = await sendOnce(key, 'once');
      expect(first.status).toBe(201);
      expect((await sendOnce(key, 'once')).body).toEqual(first.body);
      expectRefusal(await sendOnce(key, 'something else'), 422);
      expect((await sendOnce(newEmail('key'), 'once')).body).not.toEqual(first.body);
    });

    it('refuses what can not be sent, and says why', async () => {
      expectRefusal(
        await ask(alices, 'post', threadOf({ email: newEmail('nobody') })).send({ content: 'hello' }),
        404,
        /nobody.*no account/,
      );
      expectRefusal(
        await ask(alices, 'post', threadOf(bob)).send({ content: '' }),
        400,
        /content must not be empty/,
      );
      expectRefusal(await ask(alices, 'post', threadOf(bob)).send({}), 400, /content is required/);
      expectRefusal(
        await ask(alices, 'post', threadOf(bob)).send({ content: 5 }),
        400,
        /content must be a string/,
      );
      expectRefusal(
        await ask(alices, 'post', threadOf(bob)).send({ content: '\ud800' }),
        400,
        /content.*Unicode/,
      );
      const tooLong = { content: 'é'.repeat(33 * 1024) };
      expectRefusal(
        await ask(alices, 'post', threadOf(bob)).send(tooLong),
        400,
        /content must be at most 65536 bytes/,
      );
      const longest = await ask(alices, 'post', threadOf(bob)).send({ content: '\u0001'.repeat(64 * 1024) });
      expect(longest.status).toBe(201);
      expectRefusal(await ask(alices, 'post', threadOf(bob)).send({ content: 'x'.repeat(600 * 1024) }), 413);
    });

    it.each([
      '/conversations?page_size=-1',
      '/conversations?page_size=many',
      '/conversations?page_token=x',
      '/conversations/a@b.c/messages?page_token=x',
      '/notifications?page_token=x',
      '/notifications?page_size=-1',
      '/notifications?unread_only=perhaps',
    ])('answers 400 to %s', async (path) => {
      expectRefusal(await ask(alices, 'get', path), 400, /page_size|page_token|unread_only/);
    });
  });

  describe('notifications', () => {
    it('lists them with how many are unread, and marks them read', async () => {
      const { account, cookie } = await newPerson('grace');
      for (let count = 0; count < 4; count++) await sendMessage(alice.email, account.email);
      const listed = await ask(cookie, 'get', '/notifications?page_size=3');
      expect(listed.body).toStrictEqual({
        notifications: ['4', '3', '2'].map((id) => ({
          id,
          sender_email: alice.email,
          receiver_email: account.email,
          message_id: expect.stringMatching(/^\d+$/),
          timestamp: expect.any(String),
          read: false,
        })),
        unread: 4,
        next_page_token: expect.stringMatching(/\S/),
      });
      expect((await ask(cookie, 'post', '/notifications/read').send({ ids: ['4'] })).status).toBe(204);
      expect((await ask(cookie, 'post', '/notifications/read').send({ up_to_id: '2' })).status).toBe(204);
      const unread = await ask(cookie, 'get', '/notifications?unread_only=true');
      expect(unread.body).toMatchObject({ notifications: [{ id: '3' }], unread: 1, next_page_token: '' });
    });

    it('answers 400 to what names none', async () => {
      for (const body of [{}, { ids: [] }, { ids: ['x'] }, { up_to_id: 'x' }, { ids: '1' }]) {
        expectRefusal(await ask(alices, 'post', '/notifications/read').send(body), 400, /ids|up_to_id/);
      }
    });

    it('switches the subscription off and on', async () => {
      const { account, cookie } = await newPerson('heidi');
      for (const subscribed of [false, true]) {
        const put = await ask(cookie, 'put', '/subscription').send({ subscribed });
        expect(put.body).toStrictEqual({ subscribed });
        expect((await ask(cookie, 'get', '/subscription')).body).toStrictEqual({ subscribed });
        expect(await grpc.notifications.CheckUserSubscribed({ email: account.email })).toEqual({
          subscribed,
        });
      }
      expectRefusal(await ask(cookie, 'put', '/subscription').send({ subscribed: 'no' }), 400, /subscribed/);
    });
  });

  describe("another user's data", () => {
    it('is reached by no route, however it is asked for', async () => {
      const { account: ivan, cookie: ivans } = await newPerson('ivan');
      await sendMessage(alice.email, bob.email, 'for Bob alone');
      const { body } = await ask(bobs, 'get', '/notifications');
      const { unread, notifications } = z
        .object({ unread: z.number(), notifications: z.array(z.object({ id: z.string() })) })
        .parse(body);
      const asBob = `email=${bob.email}&user_email=${bob.email}`;
      for (const path of [
        `/conversations?${asBob}`,
        `${threadOf(alice)}?${asBob}`,
        `${threadOf(bob)}?${asBob}`,
        `/notifications?${asBob}`,
      ]) {
        const response = await ask(ivans, 'get', path).set('X-User', bob.email);
        expect(response.status).toBe(200);
        expect(response.text).not.toContain('for Bob alone');
        expect(response.text).toMatch(/"(conversations|messages|notifications)":\[\]/);
      }
      const attempt = { email: bob.email, user_email: bob.email, sender_email: bob.email, sender: bob.email };
      await ask(ivans, 'post', '/notifications/read').send({ ...attempt, up_to_id: notifications[0]?.id });
      await ask(ivans, 'put', '/subscription').send({ ...attempt, subscribed: false });
      await ask(ivans, 'post', `/conversations/${alice.email}/read`).send(attempt);
      await ask(ivans, 'post', threadOf(alice)).send({ ...attempt, content: 'from Ivan' });
      expect((await ask(bobs, 'get', '/notifications')).body).toMatchObject({ unread });
      expect((await ask(bobs, 'get', '/subscription')).body).toEqual({ subscribed: true });
      const [last] = z
        .tuple([z.object({ sender_email: z.string() })])
        .rest(z.unknown())
        .parse((await ask(alices, 'get', threadOf(ivan))).body.messages);
      expect(last.sender_email).toBe(ivan.email);
    });
  });

  describe('GET /api/events', () => {
    it('tells of a notification the moment it comes, to its receiver alone', async () => {
      const [{ account: judy, cookie: judys }, { cookie: others }] = await Promise.all([
        newPerson('judy'),
        newPerson('other'),
      ]);
      const [mine, theirs] = [await open(judys), await open(others)];
      await waitFor(() => mine.has('live') && theirs.has('live'), { what: 'both are live' });
      expect(mine.retryMs).toBeGreaterThan(0);
      const { message_id } = await sendMessage(alice.email, judy.email);
      await expectNotifications(mine, ['1']);
      expect(mine.received).toStrictEqual([
        { event: 'live', id: '0', data: {} },
        {
          event: 'notification',
          id: '1',
          data: {
            id: '1',
            message_id,
            sender_email: alice.email,
            receiver_email: judy.email,
            timestamp: expect.any(String),
            read: false,
          },
        },
      ]);
      expect(theirs.notifications).toEqual([]);
    });

    it('resumes after the last event that came, from the header before the query', async () => {
      const { account, cookie } = await newPerson('kim');
      for (let count = 0; count < 5; count++) await sendMessage(alice.email, account.email);
      await expectNotifications(await open(cookie, '0'), ['1', '2', '3', '4', '5']);
      await expectNotifications(await open(cookie, '3'), ['4', '5']);
      await expectNotifications(await open(cookie, undefined, '?last_event_id=4'), ['5']);
      await expectNotifications(await open(cookie, '2', '?last_event_id=4'), ['3', '4', '5']);
    });

    it.each(['x', '-1', '1.5', '7', '999999999999999999999'])(
      'says that the lists are to be read anew where %s is no place to resume from',
      async (lastEventId) => {
        const { account, cookie } = await newPerson('leo');
        await sendMessage(alice.email, account.email);
        const stream = await open(cookie, lastEventId);
        await waitFor(() => stream.has('live'), { what: 'it is live' });
        await sendMessage(alice.email, account.email);
        await expectNotifications(stream, ['2']);
        expect(stream.received.map(({ event, id }) => [event, id])).toEqual([
          ['reset', '1'],
          ['live', '1'],
          ['notification', '2'],
        ]);
      },
    );

    it('says so, too, where more was missed than anybody would want to be told', async () => {
      const { account, cookie } = await newPerson('mallory');
      const MISSED = 1_001;
      for (let left = MISSED; left > 0; left -= 256) {
        const notifications = Array.from({ length: Math.min(256, left) }, () => ({
          sender_email: alice.email,
          receiver_email: account.email,
        }));
        await grpc.notifications.CreateNotifications({ notifications });
      }
      const [tooLate, inTime] = [await open(cookie, '0'), await open(cookie, '1')];
      await waitFor(() => tooLate.has('live'), { what: 'it is live' });
      expect(tooLate.received).toEqual([
        { event: 'reset', id: String(MISSED), data: {} },
        { event: 'live', id: String(MISSED), data: {} },
      ]);
      await waitFor(() => inTime.lastEventId === String(MISSED), { what: 'all that was missed' });
      expect(inTime.notifications).toHaveLength(MISSED - 1);
    });

    it('shows what has no id, and resumes from before it', async () => {
      const { account, cookie } = await newPerson('mia');
      const stream = await open(cookie);
      await waitFor(() => stream.has('live'), { what: 'it is live' });
      const sender_email = newEmail('sensor');
      await grpc.frontend.ReceiveNotification({ sender_email, receiver_email: account.email });
      await waitFor(() => stream.has('notification'), { what: 'the notification' });
      expect(stream.notifications).toMatchObject([{ sender_email }]);
      expect(stream.lastEventId).toBe('0');
    });

    it('answers who asks for no more than its head', async () => {
      const response = await ask(alices, 'head', '/events');
      expect(response.status).toBe(200);
      expect(response.headers['content-type']).toMatch(/^text\/event-stream\b/);
    });

    it('keeps the connection alive while nothing happens', async () => {
      const { cookie } = await newPerson('noah');
      const stream = await open(cookie);
      await waitFor(() => stream.heartbeats > 0, { what: 'a heartbeat', timeoutMs: 20_000 });
      expect(stream.received).toStrictEqual([{ event: 'live', id: '0', data: {} }]);
    });
  });

  describe('GET /', () => {
    const asBrowser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

    it('is the page for a browser, with a policy that lets nothing in', async () => {
      const response = await rest.frontend().get('/').set('Accept', asBrowser);
      expect(response.status).toBe(200);
      expect(response.headers['content-type']).toMatch(/^text\/html\b/);
      expect(response.headers['vary']).toContain('Accept');
      const policy = z.string().parse(response.headers['content-security-policy']);
      expect(policy).toMatch(/default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/);
      expect(policy).not.toMatch(/unsafe|upgrade-insecure-requests|data:|\*/);
      expect(response.headers['x-content-type-options']).toBe('nosniff');
      expect(response.text).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/);

      const [, script = ''] = /src="(\/assets\/[^"]+\.js)"/.exec(response.text) ?? [];
      const asset = await rest.frontend().get(script);
      expect(asset.status).toBe(200);
      expect(asset.headers['content-type']).toMatch(/javascript/);
      expect(asset.headers['cache-control']).toMatch(/immutable/);
    });

    it('tells a browser that asks for no more than its head the same', async () => {
      const response = await rest.frontend().head('/').set('Accept', asBrowser);
      expect(response.headers['content-type']).toMatch(/^text\/html\b/);
    });

    it.each(['*/*', 'application/json', undefined])('is JSON for Accept: %s', async (accept) => {
      const request = rest.frontend().get('/');
      const response = await (accept === undefined ? request : request.set('Accept', accept));
      expect(response.body).toMatchObject({ success: true, service: 'FrontendService' });
    });

    it('gives away no file but the page', async () => {
      for (const path of [
        '/../config.js',
        '/%2e%2e/config.js',
        '/assets/../../config.js',
        '/package.json',
        '/assets/',
      ]) {
        expect((await rest.frontend().get(path)).status).toBe(404);
      }
    });
  });
});
