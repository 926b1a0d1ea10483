import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { connect as connectPlainly, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import {
  ConfigError,
  processConfig,
  processVariables,
  readEnvironment,
  type TlsConfig,
} from '@messaging/service_kit/config';
import { readGrpcHealth } from '@messaging/service_kit/grpc/probe';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import type { Component } from '@messaging/service_kit/lifecycle';
import { createLogger } from '@messaging/service_kit/log';
import { ask } from '@messaging/service_kit/rest/ask';
import { isRestReady } from '@messaging/service_kit/rest/probe';
import { RestServer } from '@messaging/service_kit/rest/server';
import { findCertifiedService } from '@messaging/service_kit/tls/certified-service';
import { Certificates, loadCertificates, ownCertificates } from '@messaging/service_kit/tls/certificates';
import { guard, secureServerOptions } from '@messaging/service_kit/tls/secure-server';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openAccess } from '../helpers/access.js';
import { connectByTls, openssl, type Shown, TestCertificates } from '../helpers/certificates.js';
import { findFreePort } from '../helpers/free-ports.js';

const logger = await createLogger('tests', 'silent', 'json');
const required = { AUTH_MODE: 'required' };
const allThree = { TLS_CERT: 'cert.pem', TLS_KEY: 'key.pem', TLS_CA: 'ca.pem' };

const configOf = (environment: Record<string, string>) =>
  processConfig(readEnvironment(processVariables, environment));

describe('the variables', () => {
  test('are none, or all three', () => {
    expect(configOf({}).tls).toBeUndefined();
    expect(configOf(allThree).tls).toEqual({ certFile: 'cert.pem', keyFile: 'key.pem', caFile: 'ca.pem' });
    for (const name of Object.keys(allThree)) {
      expect(() => configOf({ ...allThree, [name]: '' })).toThrowError(
        new RegExp(`^TLS_\\w+ is set and ${name} is not: .*TLS_CA=certificates/message_service/ca\\.pem$`),
      );
    }
  });

  test('do for AUTH_MODE=required, where SERVICE_KEY and SERVICE_KEYS do as well, both or none', () => {
    const keys = { SERVICE_KEY: 'key.json', SERVICE_KEYS: 'keys.json' };
    expect(() => configOf(required)).toThrowError(/SERVICE_KEY is not set.*TLS_CERT/);
    for (const ways of [allThree, keys, { ...allThree, ...keys }]) {
      expect(configOf({ ...required, ...ways }).access.mode).toBe('required');
    }
    for (const [name, missing] of [
      ['SERVICE_KEY', 'SERVICE_KEYS'],
      ['SERVICE_KEYS', 'SERVICE_KEY'],
    ] as const) {
      expect(() => configOf({ ...required, ...allThree, [name]: keys[name] })).toThrowError(
        `${missing} is not set`,
      );
    }
  });
});

describe.skipIf(openssl === undefined)('certificates', () => {
  let made: TestCertificates;
  /** Of another authority that is none of ours. */
  let foreign: TestCertificates;
  let stops: (() => unknown)[] = [];

  beforeAll(async () => {
    [made, foreign] = await Promise.all([TestCertificates.make(), TestCertificates.make()]);
    await made.run(['renew', 'frontend_service'], { NAMES: 'operator' });
  });

  afterEach(async () => {
    await loadCertificates(undefined);
    for (const stop of stops.toReversed()) await stop();
    stops = [];
  });

  afterAll(async () => Promise.all([made.remove(), foreign.remove()]));

  /** Copies of a service's files, for a test to replace. */
  async function copy(service: string, name: string): Promise<TlsConfig> {
    const { certFile, keyFile, caFile } = made.filesOf(service);
    const to = (file: string) => join(made.folder, `${name}-${file}.pem`);
    const copies = { certFile: to('cert'), keyFile: to('key'), caFile: to('ca') };
    await copyFile(certFile, copies.certFile);
    await copyFile(keyFile, copies.keyFile);
    await copyFile(caFile, copies.caFile);
    return copies;
  }

  /** Has a server listen. Resolves to its address. */
  async function listen(server: Server): Promise<string> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => server.close());
    const address = server.address();
    return `127.0.0.1:${isAddressInfo(address) ? address.port : 0}`;
  }

  /** A server as the doors have it. It says of each caller which service that is. */
  async function listenGuarded(certificates: Certificates): Promise<{ address: string; server: Server }> {
    const server = createServer(secureServerOptions(certificates));
    const cutOff = guard(server, certificates, logger);
    server.on('secureConnection', (socket: TLSSocket) => tell(socket));
    const address = await listen(server);
    stops.push(cutOff);
    return { address, server };
  }

  describe('that can not be used stop the process with a line that says why', () => {
    test.each([
      ['certFile', undefined, 'TLS_CERT', 'ENOENT'],
      ['keyFile', undefined, 'TLS_KEY', 'ENOENT'],
      ['caFile', undefined, 'TLS_CA', 'ENOENT'],
      ['certFile', 'nothing of the kind', 'TLS_CERT', 'it holds no certificate'],
      ['caFile', 'nothing of the kind', 'TLS_CA', 'it holds no certificate'],
      [
        'certFile',
        '-----BEGIN CERTIFICATE-----\nMIIB',
        'TLS_CERT',
        'it does not hold certificates alone, or breaks off',
      ],
      [
        'caFile',
        '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
        'TLS_CA',
        'a certificate in it can not be read',
      ],
      ['keyFile', 'hush-hush', 'TLS_KEY', 'it is no private key, or one with a passphrase'],
    ] as const)('%s with %j', async (file, content, variable, reason) => {
      const files = await copy('message_service', 'unusable');
      if (content === undefined) files[file] = join(made.folder, 'nowhere.pem');
      else await writeFile(files[file], content);
      const error: unknown = await Certificates.load(files).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigError);
      const message = String(error);
      expect(message).toContain(
        `${variable} is ${JSON.stringify(files[file])}, which can't be used (${reason})`,
      );
      const example = `certificates/message_service/${variable.slice('TLS_'.length).toLowerCase()}.pem`;
      expect(message).toContain(`for example ${variable}=${example}`);
      expect(message).not.toContain('hush-hush');
      expect(message).not.toContain('\n');
    });

    test('a key of another certificate', async () => {
      const files = { ...made.filesOf('message_service'), keyFile: made.filesOf('user_service').keyFile };
      await expect(Certificates.load(files)).rejects.toThrowError(
        /^TLS_KEY is .*\(it is not the key of the certificate in TLS_CERT\)/,
      );
    });

    test('a certificate of another authority', async () => {
      const files = { ...made.filesOf('message_service'), caFile: foreign.filesOf('operator').caFile };
      await expect(Certificates.load(files)).rejects.toThrowError(
        /^TLS_CA is .*\(none of its authorities has signed the certificate in TLS_CERT\)/,
      );
    });

    test('a certificate that has ended', async () => {
      const ended = await TestCertificates.make();
      stops.push(async () => ended.remove());
      await ended.run(['renew', 'user_service'], { DAYS: '0' });
      await expect(Certificates.load(ended.filesOf('user_service'))).rejects.toThrowError(
        /^TLS_CERT is .*\(it ended on \w+ .*GMT\)/,
      );
    });

    test.each([
      ['no service', 'authority'],
      ['two of them', 'frontend_service'],
    ])('a certificate that names %s', async (_what, folder) => {
      const files = { ...made.filesOf(folder), caFile: made.filesOf('operator').caFile };
      await expect(Certificates.load(files)).rejects.toThrowError(
        /^TLS_CERT is .*\(its DNS names have to name one service, or operator\)/,
      );
    });
  });

  test('that are replaced are used once they fit, and stay what they were until then', async () => {
    const files = await copy('user_service', 'replaced');
    const certificates = await Certificates.load(files);
    const DAY_MS = 24 * 60 * 60 * 1_000;
    expect(certificates.endsSoon()).toBe(false);
    expect(certificates.endsSoon(Date.now() + 71 * DAY_MS)).toBe(false);
    expect(certificates.endsSoon(Date.now() + 73 * DAY_MS)).toBe(true);
    const before = certificates.current;
    const heardOf: string[] = [];
    const unfollow = certificates.follow(({ cert }) => heardOf.push(cert));
    expect(await certificates.reread()).toBe(false);

    await made.run(['renew', 'user_service']);
    const next = await made.of('user_service');
    await writeFile(files.certFile, next.cert);
    await expect(certificates.reread()).rejects.toThrowError("TLS_KEY can't be used: it is not the key");
    await writeFile(files.keyFile, next.key.slice(0, next.key.length / 2));
    await expect(certificates.reread()).rejects.toThrowError("TLS_KEY can't be used: it is no private key");
    expect(certificates.current).toBe(before);

    await writeFile(files.keyFile, next.key);
    expect(await certificates.reread()).toBe(true);
    expect(certificates.current).toEqual(next);
    expect(heardOf).toEqual([before.cert, next.cert]);

    unfollow();
    await writeFile(files.caFile, `${next.ca}${(await foreign.of('operator')).ca}`);
    expect(await certificates.reread()).toBe(true);
    await writeFile(files.caFile, (await foreign.of('operator')).ca);
    await expect(certificates.reread()).rejects.toThrowError("TLS_CA can't be used: none of its authorities");
    expect(heardOf).toHaveLength(2);
  });

  test('say who a caller is, who may have none, but none that is bad', async () => {
    const { address } = await listenGuarded(await Certificates.load(made.filesOf('user_service')));
    const { ca } = await made.of('operator');
    expect(await whoIs(address, await made.of('message_service'))).toBe('message_service');
    expect(await whoIs(address, await made.of('operator'))).toBe('operator');
    expect(await whoIs(address, { ca })).toBe('nobody');
    // Which of the two it is, it does not say.
    expect(await whoIs(address, await made.of('frontend_service'))).toBe('nobody');
    expect(await whoIs(address, { ...(await foreign.of('operator')), ca })).toBeUndefined();
  });

  test('are asked for anew with each connection: no session goes on', async () => {
    const { address } = await listenGuarded(await Certificates.load(made.filesOf('user_service')));
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const only = { minVersion: version, maxVersion: version };
      const first = await connectByTls(address, await made.of('operator'), only);
      await heard(first);
      const session = first.getSession();
      first.destroy();
      const second = await connectByTls(address, await made.ofNobody(), {
        ...only,
        ...(session && { session }),
      });
      expect(await heard(second)).toBe('nobody');
      expect(second.isSessionReused()).toBe(false);
      second.destroy();
    }
  });

  test('stay what they were for as long as a connection lasts', async () => {
    const { address } = await listenGuarded(await Certificates.load(made.filesOf('user_service')));
    const only = { maxVersion: 'TLSv1.2' } as const;
    const socket = await connectByTls(address, await made.of('message_service'), only);
    expect(await heard(socket)).toBe('message_service');
    const failed = once(socket, 'error');
    socket.renegotiate({}, () => {});
    expect(String((await failed)[0])).toContain('no renegotiation');
  });

  test('are those of nobody in a session that goes on, whether or not Node.js calls it authorized', async () => {
    const seen: { isReused: boolean; who: string | undefined }[] = [];
    const server = createServer({
      ...(await made.of('user_service')),
      requestCert: true,
      rejectUnauthorized: false,
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      seen.push({
        isReused: socket.isSessionReused(),
        who: findCertifiedService(socket),
      });
      tell(socket);
    });
    const address = await listen(server);
    const nobody = await made.ofNobody();
    const first = await connectByTls(address, nobody);
    const [session] = await once(first, 'session');
    first.destroy();
    const second = await connectByTls(address, nobody, { session });
    await heard(second);
    second.destroy();
    expect(seen).toEqual([
      { isReused: false, who: undefined },
      { isReused: true, who: undefined },
    ]);
  });

  test('that a server shows are those of the moment, and who is connected stays', async () => {
    const files = await copy('user_service', 'served');
    const certificates = await Certificates.load(files);
    const { address, server } = await listenGuarded(certificates);
    const connections: TLSSocket[] = [];
    server.on('secureConnection', (socket: TLSSocket) => connections.push(socket));
    const shown = await made.ofNobody();
    const early = await connectByTls(address, shown);
    await heard(early);

    await made.run(['renew', 'user_service']);
    const { cert, key } = await made.of('user_service');
    await writeFile(files.certFile, cert);
    await writeFile(files.keyFile, key);
    expect(await certificates.reread()).toBe(true);
    const late = await connectByTls(address, shown);
    expect(late.getPeerCertificate().serialNumber).not.toBe(early.getPeerCertificate().serialNumber);
    // The rules stay what they were.
    expect(await heard(late)).toBe('nobody');
    expect(await whoIs(address, { ...(await foreign.of('operator')), ca: shown.ca })).toBeUndefined();
    connections[0]?.write('still here');
    expect(await heard(early)).toBe('still here');
    early.destroy();
    late.destroy();
  });

  test('do not have a caller wait for longer than it says', async () => {
    const certificates = await Certificates.load(made.filesOf('user_service'));
    const address = await listen(createServer(secureServerOptions(certificates)));
    await loadCertificates(made.filesOf('operator'));
    const signal = AbortSignal.timeout(100);
    await expect(ask('user_service', address, '/', { signal })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
  });

  test('of a version that is too old are not talked about', async () => {
    const { address } = await listenGuarded(await Certificates.load(made.filesOf('user_service')));
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(connectByTls(address, await made.ofNobody(), old)).rejects.toThrowError(/protocol version/);
  });

  describe('of doors', () => {
    const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;
    const config = { ...configOf({}), host: '127.0.0.1' };

    async function startDoor(kind: 'gRPC' | 'REST'): Promise<{ address: string; door: Component }> {
      const port = await findFreePort();
      const about = { access: openAccess, dependencies: [], peers: [] };
      const door =
        kind === 'gRPC'
          ? new GrpcServer(
              { ...config, grpcPort: port },
              logger,
              { ...about, name: 'user_service.UserService', definition: FrontendService.service },
              () => ({}),
            )
          : new RestServer(
              { ...config, restPort: port },
              logger,
              { ...about, name: 'UserService', description: '' },
              () => {},
            );
      await door.start();
      return { address: `127.0.0.1:${port}`, door };
    }

    const isUp = {
      gRPC: async (service: 'user_service' | 'message_service', address: string) =>
        (await readGrpcHealth(service, address, 2_000)) === 'SERVING',
      REST: async (service: 'user_service' | 'message_service', address: string) =>
        isRestReady(service, address, 2_000),
    };

    test.each(['gRPC', 'REST'] as const)(
      '%s: it is the service that has to be the right one, by whatever address it is reached',
      async (kind) => {
        await loadCertificates(made.filesOf('user_service'));
        const { address, door } = await startDoor(kind);
        stops.push(async () => door.stop(100));
        expect(await isUp[kind]('user_service', address)).toBe(true);
        expect(await isUp[kind]('message_service', address)).toBe(false);

        await loadCertificates(foreign.filesOf('operator'));
        expect(await isUp[kind]('user_service', address)).toBe(false);
        await loadCertificates(undefined);
        expect(await isUp[kind]('user_service', address)).toBe(false);
      },
    );

    test.each(['gRPC', 'REST'] as const)(
      '%s: a stop does not wait for a caller who has connected, and said nothing',
      { timeout: 8_000 },
      async (kind) => {
        await loadCertificates(made.filesOf('user_service'));
        const { address, door } = await startDoor(kind);
        const silent = connectPlainly(Number(address.split(':')[1]), '127.0.0.1');
        silent.on('error', () => {});
        await once(silent, 'connect');
        const closed = once(silent, 'close');
        expect(await isUp[kind]('user_service', address)).toBe(true);
        await door.stop(100);
        await closed;
      },
    );
  });

  test('are left as they are where there are some already', async () => {
    const before = await readFile(made.filesOf('operator').certFile, 'utf8');
    await expect(made.run([])).rejects.toThrowError(/there is an authority in .* already/);
    await expect(made.run(['renew', 'billing_service'])).rejects.toThrowError(/there is no service/);
    expect(await readFile(made.filesOf('operator').certFile, 'utf8')).toBe(before);
    expect(ownCertificates).toBeUndefined();
  });
});

function tell(socket: TLSSocket): void {
  if (!socket.destroyed) socket.write(`${findCertifiedService(socket) ?? 'nobody'}\n`);
}

/** What such a server says of a caller; undefined where it hangs up. */
async function heard(socket: TLSSocket): Promise<string | undefined> {
  const closed = once(socket, 'close').then(() => undefined);
  const said = once(socket, 'data').then(([data]) => String(data).trim());
  return Promise.race([said, closed]).catch(() => undefined);
}

async function whoIs(address: string, shown: Shown): Promise<string | undefined> {
  const socket = await connectByTls(address, shown);
  const who = await heard(socket);
  socket.destroy();
  return who;
}

function isAddressInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}
