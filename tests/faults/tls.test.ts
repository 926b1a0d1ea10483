import { X509Certificate } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { status } from '@grpc/grpc-js';
import { loadCertificates } from '@messaging/service_kit/tls/certificates';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';
import {
  askByTls,
  openChannel,
  openssl,
  readSerialNumber,
  type Shown,
  TestCertificates,
} from '../helpers/certificates.js';
import { runCli } from '../helpers/cli.js';
import { connect } from '../helpers/clients.js';
import { findFreePort } from '../helpers/free-ports.js';
import { EventStream, readCookie } from '../helpers/inbox.js';
import { RunningProcess } from '../helpers/running-process.js';
import { type ProcessName, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';
import { watchNotifications } from '../helpers/watch.js';

const services = ['user_service', 'message_service', 'notification_service', 'frontend_service'] as const;
const everyone = [...services, 'operator'] as const;

/** All but one door of MessageService, which is started in the wrong place. */
const processes = [
  'user_service_grpc',
  'user_service_api',
  'message_service_grpc',
  'notification_service_grpc',
  'notification_service_api',
  'frontend_service_grpc',
  'frontend_service_api',
] as const;

const session = z.object({ token: z.string() });
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe.skipIf(openssl === undefined)(
  'with certificates, and nothing else by which services know each other',
  () => {
    let made: TestCertificates;
    /** Of another authority, under the same names. */
    let foreign: TestCertificates;
    let suite: Suite;
    let metricsPort: number;
    let nobody: Shown;
    let shown: Awaited<ReturnType<typeof readAll>>;
    const closes: (() => void)[] = [];
    let count = 0;

    beforeAll(async () => {
      [made, foreign] = await Promise.all([TestCertificates.make(), TestCertificates.make()]);
      await readShown();
      metricsPort = await findFreePort();
      suite = await Suite.start({
        tlsFolder: made.madeFolder,
        processes,
        // Who sends while certificates are replaced sends as fast as it goes.
        environment: { AUTH_MODE: 'required', SENDS_PER_MINUTE: '0', LOG_LEVEL: 'info' },
        processEnvironment: { user_service_grpc: { METRICS_PORT: String(metricsPort) } },
      });
      await suite.waitUntilReady();
    });

    afterAll(async () => {
      // All exit with 0, with the connections of all callers still open.
      await suite.stop();
      for (const close of closes) close();
      await Promise.all([made.remove(), foreign.remove()]);
    });

    async function readShown(): Promise<void> {
      [nobody, shown] = await Promise.all([made.ofNobody(), readAll()]);
      // Those by which this process asks for health.
      await loadCertificates(made.filesOf('operator'));
    }

    async function readAll() {
      return {
        user_service: await made.of('user_service'),
        message_service: await made.of('message_service'),
        notification_service: await made.of('notification_service'),
        frontend_service: await made.of('frontend_service'),
        operator: await made.of('operator'),
      };
    }

    /** Clients of one who shows these certificates. */
    function connectAs(certificates: Shown) {
      const clients = connect(suite.addresses, suite.redis, (address) => openChannel(address, certificates));
      closes.push(() => clients.close());
      return clients;
    }

    function ask(name: ProcessName, path: string, by: Shown, options: Parameters<typeof askByTls>[3] = {}) {
      return askByTls(suite.addresses[name], path, by, options);
    }

    /** Makes an account that no other test uses, and logs in. */
    async function signUp(name: string) {
      const account = { email: `${name}-${++count}@example.com`, password: `the secret of ${name}`, name };
      const created = await ask('user_service_api', '/users', nobody, { method: 'POST', body: account });
      expect(created.status).toBe(201);
      const answer = await ask('user_service_api', '/login', nobody, { method: 'POST', body: account });
      return { ...account, token: session.parse(answer.body).token };
    }

    async function signIn(account: object): Promise<string> {
      const answer = await ask('frontend_service_api', '/api/session', nobody, {
        method: 'POST',
        body: account,
      });
      return readCookie(answer.headers['set-cookie']);
    }

    /** How often each process has said something. */
    const countSaid = (text: string) =>
      processes.map((name) => suite.process(name).output.split(text).length - 1);

    /** Does what replaces the certificates of all, and waits until every process says that it has them. */
    async function replace(change: () => Promise<void>): Promise<void> {
      const before = countSaid('certificates replaced');
      await change();
      await waitFor(
        () => countSaid('certificates replaced').every((times, index) => times > (before[index] ?? 0)),
        { what: 'every process has the new certificates' },
      );
    }

    test('a message goes all the way, from someone with a token and no certificate', async () => {
      const [alice, bob] = [await signUp('alice'), await signUp('bob')];
      const { grpc, channel } = connectAs(nobody);
      const page = await EventStream.openByTls(
        suite.addresses.frontend_service_api,
        await signIn(bob),
        nobody,
      );
      const watch = watchNotifications(
        channel('frontend_service_grpc'),
        { email: bob.email },
        bearer(bob.token),
      );
      await watch.established;
      const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };
      expect(await grpc.messages.SendMessage({ message }, bearer(alice.token))).toMatchObject({
        success: true,
      });
      await waitFor(() => page.notifications.length === 1, { what: 'the page shows it' });
      await waitFor(() => watch.shown.length === 1, { what: 'the watch shows it' });
      page.close();
      watch.cancel();
    });

    test('nothing is said without TLS, by no port', async () => {
      const addresses = processes.map((name) => suite.addresses[name]);
      for (const address of [...addresses, `127.0.0.1:${metricsPort}`])
        await expect(fetch(`http://${address}/`)).rejects.toThrowError('fetch failed');
      const plain = connect(suite.addresses, suite.redis);
      closes.push(() => plain.close());
      expect(await codeOf(plain.grpc.users.CheckUserExists({ email: 'a@example.com' }))).toBe('UNAVAILABLE');
    });

    test('who may what is the same by certificate as by token', async () => {
      const email = 'ghost@example.com';
      const calls = (by: ReturnType<typeof connectAs>, certificates: Shown) => ({
        CheckUsersExist: by.grpc.users.CheckUsersExist({ emails: [email] }),
        ListUsers: by.grpc.users.ListUsers({}),
        SendMessage: by.grpc.messages.SendMessage({
          message: { sender_email: email, receiver_email: email, content: 'x' },
        }),
        CreateNotification: by.grpc.notifications.CreateNotification({ receiver_email: email }),
        SubscribeUser: by.grpc.notifications.SubscribeUser({ email }),
        ListNotifications: by.grpc.notifications.ListNotifications({ email }),
        ReceiveNotification: by.grpc.frontend.ReceiveNotification({ receiver_email: email }),
        // A stream, to which nothing is ever sent.
        CreateNotificationsStream: by.grpc.notifications.CreateNotificationsStream([]),
        'GET /ended_sessions': askToBeLetIn('user_service_api', '/ended_sessions', certificates),
        'GET /users': askToBeLetIn('user_service_api', '/users', certificates),
        'GET /list_notifications': askToBeLetIn(
          'notification_service_api',
          `/list_notifications?email=${email}`,
          certificates,
        ),
        'GET /metrics': askToBeLetIn('frontend_service_api', '/metrics', certificates),
      });
      const mayBesidesTheOperator: Record<string, string[]> = {
        CheckUsersExist: ['message_service'],
        ListUsers: [],
        SendMessage: [],
        CreateNotification: ['message_service'],
        SubscribeUser: ['user_service'],
        ListNotifications: ['user_service', 'frontend_service'],
        ReceiveNotification: ['notification_service'],
        CreateNotificationsStream: ['message_service'],
        'GET /ended_sessions': ['message_service', 'notification_service', 'frontend_service'],
        'GET /users': [],
        'GET /list_notifications': [],
        'GET /metrics': [],
      };
      for (const who of everyone) {
        const outcomes = Object.entries(calls(connectAs(shown[who]), shown[who])).map(
          async ([name, call]) => [name, await codeOf(call)] as const,
        );
        const expected = Object.entries(mayBesidesTheOperator).map(([name, may]) => [
          name,
          who === 'operator' || may.includes(who) ? 'OK' : 'PERMISSION_DENIED',
        ]);
        expect(Object.fromEntries(await Promise.all(outcomes)), who).toEqual(Object.fromEntries(expected));
      }
      const outcomes = Object.values(calls(connectAs(nobody), nobody)).map(codeOf);
      expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['UNAUTHENTICATED']));
    });

    test('a token counts before the certificate, also one that is not good', async () => {
      const [alice, bob] = [await signUp('alice'), await signUp('bob')];
      const { grpc } = connectAs(shown.operator);
      const mail = (token?: string) =>
        codeOf(grpc.messages.GetMessages({ user_email: alice.email }, token ? bearer(token) : {}));
      expect(await mail()).toBe('OK');
      expect(await mail(alice.token)).toBe('OK');
      expect(await mail(bob.token)).toBe('PERMISSION_DENIED');
      expect(await mail('x.y.z')).toBe('UNAUTHENTICATED');
      const account = async (authorization?: string) => {
        const headers = authorization === undefined ? {} : { authorization };
        const { status: answered } = await ask('user_service_api', `/users/${alice.email}`, shown.operator, {
          headers,
        });
        return answered;
      };
      expect(await account()).toBe(200);
      expect(await account(`Bearer ${bob.token}`)).toBe(403);
      expect(await account('Bearer x.y.z')).toBe(401);
      expect(await account('')).toBe(401);
    });

    test('who shows a certificate of another authority, or one that has ended, is not talked to', async () => {
      await made.run(['renew', 'operator'], { DAYS: '0' });
      const ended = await made.of('operator');
      await made.run(['renew', 'operator']);
      for (const bad of [{ ...(await foreign.of('operator')), ca: nobody.ca }, ended]) {
        await expectRefused(ask('user_service_api', '/healthz', bad));
        // Not even what is open to anyone.
        const { grpc } = connectAs(bad);
        expect(await codeOf(grpc.users.AuthenticateUser({ email: 'a@example.com' }))).toBe('UNAVAILABLE');
        await expectRefused(askByTls(`127.0.0.1:${metricsPort}`, '/metrics', bad));
      }
      expect(suite.process('user_service_grpc').output).toMatch(/"reason":"CERT_HAS_EXPIRED".*is refused/);
    });

    test('a caller does not talk to a port that can not show whose it is', async () => {
      const strange = { ...nobody, ca: (await foreign.ofNobody()).ca };
      await expect(ask('user_service_api', '/healthz', strange)).rejects.toThrowError(/certificate/);
      expect(await codeOf(connectAs(strange).grpc.users.AuthenticateUser({}))).toBe('UNAVAILABLE');

      // NotificationService is not to be taken for UserService by whoever finds it in its place.
      suite.startProcess('message_service_api', {
        AUTH_MODE: 'required',
        USER_SERVICE_ADDRESS: suite.addresses.notification_service_grpc,
      });
      const ready = z.object({ unreachable_peers: z.array(z.string()) });
      await waitFor(
        async () => {
          const { body } = await ask('message_service_api', '/readyz', nobody);
          return ready.parse(body).unreachable_peers.join() === 'UserService';
        },
        { what: 'all but UserService are found' },
      );
    });

    test('the page has a cookie that goes by TLS alone, and takes nothing from a page without TLS', async () => {
      const alice = await signUp('alice');
      const logIn = (headers: Record<string, string>) =>
        ask('frontend_service_api', '/api/session', nobody, { method: 'POST', body: alice, headers });
      const host = suite.addresses.frontend_service_api;
      for (const headers of [{}, { origin: `https://${host}` }]) {
        const answer = await logIn({ host, ...headers });
        expect(answer.status).toBe(200);
        expect(answer.headers['set-cookie']?.[0]).toMatch(/; Secure(;|$)/);
      }
      expect((await logIn({ host, origin: `http://${host}` })).status).toBe(403);
      const page = await ask('frontend_service_api', '/', nobody, { headers: { accept: 'text/html' } });
      expect(page.body).toContain('<script type="module"');
    });

    test('the metrics, health checks and the command line speak it as well', async () => {
      const metrics = await askByTls(`127.0.0.1:${metricsPort}`, '/metrics', nobody);
      expect(metrics.body).toContain('process_cpu_seconds_total');

      const { certFile, keyFile, caFile } = made.filesOf('user_service');
      const tls = { TLS_CERT: certFile, TLS_KEY: keyFile, TLS_CA: caFile };
      for (const door of ['api_rest', 'grpc'] as const) {
        const address = suite.addresses[door === 'grpc' ? 'user_service_grpc' : 'user_service_api'];
        const port = address.split(':')[1] ?? '';
        const check = async (environment: Record<string, string>) => {
          const run = new RunningProcess('healthcheck', `user_service/dist/${door}/healthcheck.js`, {
            cwd: ROOT_FOLDER,
            environment: { [door === 'grpc' ? 'GRPC_PORT' : 'REST_PORT']: port, ...environment },
          });
          return (await run.exited).code;
        };
        expect(await check(tls)).toBe(0);
        expect(await check({})).toBe(1);
      }

      const alice = await signUp('alice');
      const folder = { environment: { TLS_FOLDER: made.madeFolder } };
      const { code, stdout } = await runCli(suite, ['users', 'list'], folder);
      expect(code).toBe(0);
      expect(stdout).toContain(alice.email);
      expect((await runCli(suite, ['inbox', alice.email], folder)).code).toBe(0);
      expect((await runCli(suite, ['users', 'list'])).code).toBe(3);
      expect((await runCli(suite, ['status'], folder)).stdout).toMatch(/user_service_grpc +\S+ +serving/);
    });

    test('a killed process comes back to its peers, and what it missed is delivered', async () => {
      const [alice, bob] = [await signUp('alice'), await signUp('bob')];
      const { grpc } = connectAs(nobody);
      const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };
      const receiver = suite.process('notification_service_grpc');
      receiver.kill('SIGKILL');
      await receiver.exited;
      const sent = await grpc.messages.SendMessage({ message }, bearer(alice.token));
      expect(sent).toMatchObject({ success: true });
      await receiver.restart();
      await suite.process('user_service_grpc').restart();
      await suite.waitUntilReady();
      await waitFor(
        async () => {
          const reply = await grpc.notifications.ListNotifications({ email: bob.email }, bearer(bob.token));
          return reply.notifications.length === 1;
        },
        { what: 'it is delivered', timeoutMs: 20_000 },
      );
      const send = async () => codeOf(grpc.messages.SendMessage({ message }, bearer(alice.token)));
      await waitFor(async () => (await send()) === 'OK', { what: 'MessageService finds UserService again' });
    });

    test('all certificates and their authority are replaced while calls and streams go on', async () => {
      const [alice, bob] = [await signUp('alice'), await signUp('bob')];
      const cookie = await signIn(bob);
      const { grpc, channel } = connectAs(nobody);
      const page = await EventStream.openByTls(suite.addresses.frontend_service_api, cookie, nobody);
      const watch = watchNotifications(
        channel('frontend_service_grpc'),
        { email: bob.email },
        bearer(bob.token),
      );
      await watch.established;

      // One who stays on the connections of before, and one who comes anew each time.
      const over = new AbortController();
      let sent = 0;
      const message = { sender_email: alice.email, receiver_email: bob.email, content: 'hello' };
      const stay = async () => {
        for (; !over.signal.aborted; sent++)
          await grpc.messages.SendMessage({ message }, bearer(alice.token));
      };
      const comeAnew = async () => {
        while (!over.signal.aborted) {
          const { status: answered } = await ask('user_service_api', '/healthz', shown.operator);
          expect(answered).toBe(200);
        }
      };
      const traffic = Promise.allSettled([stay(), comeAnew()]);
      const early = shown.operator;
      try {
        await replace(async () => made.run(['new-authority']));
        await readShown();
        const before = await Promise.all(services.map(async (name) => serialOf(await made.of(name))));
        await replace(async () => made.run(['renew']));
        await readShown();
        for (const name of processes) {
          const serial = await readSerialNumber(suite.addresses[name], nobody);
          expect(before).not.toContain(serial);
          expect(services.map((service) => serialOf(shown[service]))).toContain(serial);
        }
        expect(await readSerialNumber(`127.0.0.1:${metricsPort}`, nobody)).toBe(serialOf(shown.user_service));
        // The old ones are still good.
        expect((await ask('user_service_api', '/users', { ...early, ca: nobody.ca })).status).toBe(200);
        await replace(async () => made.run(['drop-authority']));
        await readShown();
        await expectRefused(ask('user_service_api', '/users', { ...early, ca: nobody.ca }));
        expect((await ask('user_service_api', '/users', shown.operator)).status).toBe(200);
      } finally {
        over.abort();
      }
      for (const outcome of await traffic) expect(outcome).toEqual({ status: 'fulfilled', value: undefined });
      await waitFor(() => page.notifications.length === sent && watch.shown.length === sent, {
        what: `all ${sent} are shown, to those who have been there from the start`,
        timeoutMs: 20_000,
      });
      page.close();
      watch.cancel();
    });

    test('files that are half-written, do not fit or have ended leave what is in use, until they are right', async () => {
      const { certFile, keyFile } = made.filesOf('user_service');
      const [cert, key] = [await readFile(certFile, 'utf8'), await readFile(keyFile, 'utf8')];
      const doors = ['user_service_grpc', 'user_service_api'] as const;
      const said = (text: RegExp) =>
        waitFor(() => doors.every((name) => text.test(lastLines(name))), {
          what: `both processes say ${String(text)}`,
        });
      const inUse = serialOf(shown.user_service);
      const expectInUse = async () => {
        for (const name of doors) expect(await readSerialNumber(suite.addresses[name], nobody)).toBe(inUse);
      };

      await writeFile(certFile, cert.slice(0, cert.length / 2));
      await said(/TLS_CERT can't be used: it does not hold certificates alone, or breaks off/);
      await expectInUse();
      await writeFile(certFile, cert);
      await said(/the certificates are again those in use/);

      await copyFile(made.filesOf('message_service').keyFile, keyFile);
      await said(/TLS_KEY can't be used: it is not the key of the certificate in TLS_CERT/);
      await expectInUse();
      expect(lastLines('user_service_api')).not.toContain('PRIVATE KEY');
      await writeFile(keyFile, key);

      await made.run(['renew', 'user_service'], { DAYS: '0' });
      await said(/TLS_CERT can't be used: it ended on/);
      await expectInUse();
      const stopped = suite.process('user_service_api');
      await stopped.restart();
      expect((await stopped.exited).code).toBe(1);
      expect(lastLines('user_service_api')).toMatch(/\nuser_service_api: TLS_CERT is .* \(it ended on .*\n$/);

      await made.run(['renew', 'user_service']);
      await stopped.restart();
      const serial = serialOf(await made.of('user_service'));
      await waitFor(
        async () => (await readSerialNumber(suite.addresses.user_service_grpc, nobody)) === serial,
        { what: 'the new certificate is in use' },
      );
      await suite.waitUntilReady();
    });

    function lastLines(name: ProcessName): string {
      return suite.process(name).output.split('\n').slice(-40).join('\n');
    }

    /** Resolves where it is answered. Rejects as a gRPC call does, where it is not. */
    async function askToBeLetIn(name: ProcessName, path: string, by: Shown): Promise<void> {
      const { status: answered } = await ask(name, path, by);
      const codes = new Map([
        [401, status.UNAUTHENTICATED],
        [403, status.PERMISSION_DENIED],
      ]);
      const code = codes.get(answered ?? 0);
      if (code !== undefined) throw Object.assign(new Error(path), { code });
      expect(answered).toBe(200);
    }
  },
);

async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(
    () => 'OK',
    (error: unknown) => status[z.object({ code: z.number() }).parse(error).code],
  );
}

function serialOf({ cert }: Required<Shown>): string {
  return new X509Certificate(cert).serialNumber;
}

/** Expects the other side to have hung up, once it had seen who was asking. */
async function expectRefused(asked: Promise<unknown>): Promise<void> {
  await expect(asked).rejects.toThrowError(/socket hang up|ECONNRESET|EPIPE/);
}
