import { readFile } from 'node:fs/promises';
import { ServiceError } from '@messaging/service_kit/errors';
import {
  publicKeySet,
  type PublicKeySet,
  signingKey,
  type SigningKey,
} from '@messaging/service_kit/access/tokens';
import type { Logger } from '@messaging/service_kit/log';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import type { SessionStore } from '../store/session-store.js';

/** A key of our own making, and when it was made. */
const tokenKey = signingKey.extend({ created_at: z.number() });

/** The keys that tokens are signed with, the oldest first. */
export const tokenKeyRing = z.array(tokenKey);
export type TokenKeyRing = z.output<typeof tokenKeyRing>;

/** How long keys are relied on before they are read again. */
const REREAD_AFTER_MS = 5_000;

/** A new key is published for this long before anything is signed with it: whoever checks tokens has it by then. */
const PUBLISHED_BEFORE_USE_MS = 60_000;

/** Where keys come from: the one to sign with first. */
export interface TokenKeySource {
  read(): Promise<SigningKey[]>;
}

/** The keys that tokens are signed with, and by which they are known. */
export class TokenKeys {
  #read: { keys: SigningKey[]; find: JWTVerifyGetKey; at: number } | undefined;

  constructor(
    private readonly source: TokenKeySource,
    private readonly logger: Logger,
  ) {}

  /** The key to sign with. @throws {ServiceError} `unavailable` when there is none at hand. */
  async signingKey(): Promise<SigningKey> {
    const [first] = (await this.#current()).keys;
    if (!first) throw new ServiceError('unavailable', 'There is no key to sign with at the moment');
    return first;
  }

  /** The public halves of all. */
  async publicKeys(): Promise<PublicKeySet> {
    return publicKeySet.parse(await this.#current());
  }

  readonly findKey: JWTVerifyGetKey = async (header, token) => (await this.#current()).find(header, token);

  /** While they can't be read again, they stay what they were. */
  async #current() {
    if (this.#read && Date.now() - this.#read.at < REREAD_AFTER_MS) return this.#read;
    const at = Date.now();
    try {
      const keys = await this.source.read();
      this.#read = { keys, find: createLocalJWKSet(publicKeySet.parse({ keys })), at };
    } catch (error) {
      if (!this.#read) throw error;
      this.logger.warn({ err: error }, 'the keys of tokens could not be read again; the last ones stay');
      this.#read.at = at;
    }
    return this.#read;
  }
}

/** Keys that someone else makes and replaces: a set of private keys in a file, of which the first signs. */
export class KeysInFile implements TokenKeySource {
  constructor(private readonly file: string) {}

  async read(): Promise<SigningKey[]> {
    const { keys } = fileContent.parse(JSON.parse(await readFile(this.file, 'utf8')));
    return keys;
  }
}

const fileContent = z.object({ keys: z.array(signingKey).min(1) });

/**
 * Keys that the processes of UserService make, share through Redis, and replace one by one: a new one is published before
 * it is used, and an old one until the last token that it signed has ended.
 */
export class KeysInStore implements TokenKeySource {
  constructor(
    private readonly store: SessionStore,
    private readonly times: { useForMs: number; tokenLifetimeMs: number },
  ) {}

  async read(): Promise<SigningKey[]> {
    for (;;) {
      const { ring, version } = await this.store.readTokenKeys();
      const now = Date.now();
      const next = this.#withoutOutlived(ring, now);
      const newest = next.at(-1);
      if (!newest || now - newest.created_at > this.times.useForMs) next.push(await newKey(now));
      if (next.length === ring.length && next.at(-1) === newest) return inOrderOfUse(ring, now);
      // Where another process was faster, its keys are the ones.
      if (await this.store.replaceTokenKeys(version, next)) return inOrderOfUse(next, now);
    }
  }

  #withoutOutlived(ring: TokenKeyRing, now: number): TokenKeyRing {
    return ring.filter((_, index) => {
      const successor = ring[index + 1];
      if (!successor) return true;
      const replacedAt = successor.created_at + PUBLISHED_BEFORE_USE_MS;
      return now < replacedAt + this.times.tokenLifetimeMs + REREAD_AFTER_MS;
    });
  }
}

/** The newest that has been published for long enough comes first; in the beginning the only one. */
function inOrderOfUse(ring: TokenKeyRing, now: number): SigningKey[] {
  const current = ring.findLast(({ created_at }) => now - created_at >= PUBLISHED_BEFORE_USE_MS) ?? ring[0];
  return current ? [current, ...ring.filter((one) => one !== current)] : [];
}

async function newKey(now: number): Promise<z.output<typeof tokenKey>> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const kid = `${new Date(now).toISOString().slice(0, 10)}-${crypto.randomUUID().slice(0, 8)}`;
  return tokenKey.parse({ ...(await exportJWK(privateKey)), kid, created_at: now });
}
