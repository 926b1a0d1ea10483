import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ConfigError, type TlsConfig } from '../config.js';
import { findServiceNamed } from './certified-service.js';

/** What a process shows others of itself, and whom it believes; as PEM. */
export interface CertificateSet {
  /** The certificate of this process, and those between it and its authority. */
  readonly cert: string;
  readonly key: string;
  /** The certificates of the authorities that others' certificates have to come from. */
  readonly ca: string;
}

type Listener = (set: CertificateSet) => void;

/** Why one of the files can't be used. */
class UnusableFile extends Error {
  constructor(
    readonly variable: 'TLS_CERT' | 'TLS_KEY' | 'TLS_CA',
    readonly reason: string,
  ) {
    super(`${variable} can't be used: ${reason}`);
  }
}

/** No chain of certificates is longer in practice; one that leads in a circle ends. */
const MAX_CHAIN_LENGTH = 10;

/** The certificates of a process. They are replaced while it runs, all together. */
export class Certificates {
  readonly #listeners = new Set<Listener>();
  #current: CertificateSet;

  private constructor(
    private readonly files: TlsConfig,
    current: CertificateSet,
  ) {
    this.#current = current;
  }

  /** Reads them. @throws {ConfigError} naming the file that can't be used, and why. */
  static async load(files: TlsConfig): Promise<Certificates> {
    try {
      const read = await readSet(files);
      checkSet(read);
      return new Certificates(files, read);
    } catch (error) {
      if (!(error instanceof UnusableFile)) throw error;
      const { variable, reason } = error;
      const { file, example } = describeFile(variable, files);
      throw new ConfigError(
        `${variable} is ${JSON.stringify(file)}, which can't be used (${reason}): expected a file such as deploy/tls/make-certificates.sh makes, for example ${variable}=${example}`,
      );
    }
  }

  get current(): CertificateSet {
    return this.#current;
  }

  /** When the certificate of this process ends. */
  get validTo(): string {
    return new X509Certificate(this.#current.cert).validTo;
  }

  /** Whether four fifths of its time are over. */
  endsSoon(now = Date.now()): boolean {
    const { validFrom, validTo } = new X509Certificate(this.#current.cert);
    const end = Date.parse(validTo);
    return end - now < (end - Date.parse(validFrom)) / 5;
  }

  /** Calls `listener` at once and whenever they are replaced. @returns what ends that */
  follow(listener: Listener): () => void {
    listener(this.#current);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Reads the files again. What can't be used as a whole changes nothing.
   *
   * @returns whether they hold something new.
   * @throws saying why they can't be used.
   */
  async reread(): Promise<boolean> {
    const read = await readSet(this.files);
    const { cert, key, ca } = this.#current;
    if (read.cert === cert && read.key === key && read.ca === ca) return false;
    checkSet(read);
    this.#current = read;
    for (const listener of this.#listeners) listener(read);
    return true;
  }
}

/** The certificates of this process; undefined where it does without TLS. */
export let ownCertificates: Certificates | undefined;

/** Reads the certificates of this process, where it is to have any. @throws {ConfigError} for a file that can't be used. */
export async function loadCertificates(files: TlsConfig | undefined): Promise<void> {
  ownCertificates = files && (await Certificates.load(files));
}

/** One after the other, so that it is always the first that is complained of. */
async function readSet({ certFile, keyFile, caFile }: TlsConfig): Promise<CertificateSet> {
  return {
    cert: await readPem('TLS_CERT', certFile),
    key: await readPem('TLS_KEY', keyFile),
    ca: await readPem('TLS_CA', caFile),
  };
}

async function readPem(variable: UnusableFile['variable'], file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new UnusableFile(variable, code);
  }
}

function describeFile(variable: UnusableFile['variable'], { certFile, keyFile, caFile }: TlsConfig) {
  const folder = 'certificates/message_service';
  switch (variable) {
    case 'TLS_CERT':
      return { file: certFile, example: `${folder}/cert.pem` };
    case 'TLS_KEY':
      return { file: keyFile, example: `${folder}/key.pem` };
    case 'TLS_CA':
      return { file: caFile, example: `${folder}/ca.pem` };
  }
}

/** Finds out now what would else be found out by everyone who connects. @throws {UnusableFile} */
function checkSet(set: CertificateSet): void {
  const [own, ...between] = readCertificates('TLS_CERT', set.cert);
  const authorities = readCertificates('TLS_CA', set.ca);
  if (!own) throw new UnusableFile('TLS_CERT', 'it holds no certificate');
  if (authorities.length === 0) throw new UnusableFile('TLS_CA', 'it holds no certificate');
  if (!own.checkPrivateKey(readKey(set.key))) {
    throw new UnusableFile('TLS_KEY', 'it is not the key of the certificate in TLS_CERT');
  }
  const now = Date.now();
  if (now >= Date.parse(own.validTo)) throw new UnusableFile('TLS_CERT', `it ended on ${own.validTo}`);
  if (now < Date.parse(own.validFrom)) {
    throw new UnusableFile('TLS_CERT', `it is not good before ${own.validFrom}`);
  }
  if (findServiceNamed(own) === undefined) {
    throw new UnusableFile('TLS_CERT', 'its DNS names have to name one service, or operator');
  }
  if (!isSignedByOneOf(authorities, own, between)) {
    throw new UnusableFile('TLS_CA', 'none of its authorities has signed the certificate in TLS_CERT');
  }
  try {
    createSecureContext(set);
  } catch (error) {
    throw new UnusableFile('TLS_CERT', error instanceof Error ? error.message : String(error));
  }
}

function readCertificates(variable: 'TLS_CERT' | 'TLS_CA', pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length !== pem.split('-----BEGIN').length - 1) {
    throw new UnusableFile(variable, 'it does not hold certificates alone, or breaks off');
  }
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new UnusableFile(variable, 'a certificate in it can not be read');
    }
  });
}

/** Without saying what the file holds: that is a secret. */
function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new UnusableFile('TLS_KEY', 'it is no private key, or one with a passphrase');
  }
}

function isSignedByOneOf(
  authorities: X509Certificate[],
  own: X509Certificate,
  between: X509Certificate[],
): boolean {
  let signed = own;
  for (let length = 0; length < MAX_CHAIN_LENGTH; length++) {
    const isBy = (signer: X509Certificate) => signed.checkIssued(signer) && signed.verify(signer.publicKey);
    if (authorities.some(isBy)) return true;
    const next = between.find(isBy);
    if (!next) return false;
    signed = next;
  }
  return false;
}
