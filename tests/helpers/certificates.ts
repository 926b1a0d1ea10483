import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { Client, credentials } from '@grpc/grpc-js';
import { ROOT_FOLDER, tlsFilesOf } from '../../scripts/dist/suite.js';
import { findOnPath } from './programs.js';

/** Without it there is nothing that makes certificates. */
export const openssl = findOnPath(['openssl']);

/** What one shows of oneself, and whom one believes. Without the first two one shows nothing. */
export interface Shown {
  cert?: string;
  key?: string;
  ca: string;
}

/** Makes `cert.pem` and `key.pem` for 127.0.0.1. A certificate that signs itself is its own authority. */
export async function makeSelfSigned(folder: string): Promise<{ certFile: string; keyFile: string }> {
  const subject = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem'];
  await promisify(execFile)(
    openssl ?? '',
    ['req', '-x509', ...key, '-days', '1', '-out', 'cert.pem', ...subject],
    { cwd: folder },
  );
  return { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
}

/** What a Redis has to be told to listen for TLS alone. */
export function redisTlsOptions(
  port: number,
  { certFile, keyFile }: { certFile: string; keyFile: string },
): Record<string, string> {
  return {
    port: '0',
    'tls-port': String(port),
    'tls-cert-file': certFile,
    'tls-key-file': keyFile,
    'tls-auth-clients': 'no',
  };
}

/** Certificates of a suite of one's own, made as anyone would make them. */
export class TestCertificates {
  private constructor(readonly folder: string) {}

  static async make(): Promise<TestCertificates> {
    const made = new TestCertificates(await mkdtemp(join(tmpdir(), 'messaging-certificates-')));
    await made.run([]);
    return made;
  }

  /** Runs the script again, such as with `renew`. */
  async run(args: string[], environment: Record<string, string> = {}): Promise<void> {
    await promisify(execFile)('sh', ['deploy/tls/make-certificates.sh', join(this.folder, 'made'), ...args], {
      cwd: ROOT_FOLDER,
      env: { PATH: process.env['PATH'], ...environment },
    });
  }

  get madeFolder(): string {
    return join(this.folder, 'made');
  }

  /** Where the files of a service are. */
  filesOf(service: string) {
    return tlsFilesOf(service, this.madeFolder);
  }

  /** What a service shows. */
  async of(service: string): Promise<Required<Shown>> {
    const { certFile, keyFile, caFile } = this.filesOf(service);
    const [cert, key, ca] = await Promise.all(
      [certFile, keyFile, caFile].map(async (file) => readFile(file, 'utf8')),
    );
    return { cert: cert ?? '', key: key ?? '', ca: ca ?? '' };
  }

  /** What somebody shows who has no certificate. */
  async ofNobody(): Promise<Shown> {
    const { ca } = await this.of('operator');
    return { ca };
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}

/** Connects to a port. @throws when the handshake fails on this side. */
export async function connectByTls(
  address: string,
  shown: Shown,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), servername: 'localhost', ...shown, ...options });
    socket.once('secureConnect', () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** Tells by which number the certificate goes that a port shows to those who connect now. */
export async function readSerialNumber(address: string, shown: Shown): Promise<string> {
  const socket = await connectByTls(address, shown, { ALPNProtocols: ['h2', 'http/1.1'] });
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

/** Asks for something by HTTPS, over a connection of its own. */
export async function openByTls(
  address: string,
  path: string,
  shown: Shown,
  options: { method?: string; headers?: Record<string, string>; body?: object; signal?: AbortSignal } = {},
): Promise<IncomingMessage> {
  const { body, signal, method, headers } = options;
  return new Promise((resolve, reject) => {
    request(
      `https://${address}${path}`,
      {
        ...shown,
        agent: false,
        ...(method !== undefined && { method }),
        ...(signal && { signal }),
        headers: { ...(body && { 'Content-Type': 'application/json' }), ...headers },
      },
      resolve,
    )
      .on('error', reject)
      .end(body && JSON.stringify(body));
  });
}

/** The same, to the end of the answer. */
export async function askByTls(
  ...args: Parameters<typeof openByTls>
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; body: unknown }> {
  const answer = await openByTls(...args);
  const { statusCode, headers } = answer;
  const text = await readText(answer);
  const isJson = headers['content-type']?.startsWith('application/json') ?? false;
  return { status: statusCode, headers, body: isJson ? JSON.parse(text) : text };
}

/** Opens a channel to a gRPC port. */
export function openChannel(address: string, { ca, cert, key }: Shown): Client {
  return new Client(address, credentials.createSsl(Buffer.from(ca), toBuffer(key), toBuffer(cert)), {
    // An address is no name that TLS could ask for.
    'grpc.ssl_target_name_override': 'localhost',
    'grpc.use_local_subchannel_pool': 1,
  });
}

function toBuffer(pem: string | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}
