import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT } from 'jose';
import { z } from 'zod';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';

/** A session at the suite that the tests share, which goes on: tokens of it are taken for whomever they name. */
export const TEST_SESSION = 'tests';

const key = z.looseObject({ kid: z.string() });

/** Keys of a suite of one's own: tests sign with them what the suite itself would not. */
export class TestKeys {
  private constructor(
    readonly folder: string,
    /** What UserService signs with. */
    readonly tokenKey: JWK,
  ) {}

  static async make(): Promise<TestKeys> {
    const folder = await mkdtemp(join(tmpdir(), 'messaging-keys-'));
    const services = join(folder, 'services');
    await promisify(execFile)(process.execPath, ['deploy/tokens/make-keys.mjs', services], {
      cwd: ROOT_FOLDER,
    });
    const tokenKey = await newKey('tests');
    await writeFile(join(folder, 'tokens.json'), JSON.stringify({ keys: [tokenKey] }));
    return new TestKeys(folder, tokenKey);
  }

  get servicesFolder(): string {
    return join(this.folder, 'services');
  }

  get tokenKeysFile(): string {
    return join(this.folder, 'tokens.json');
  }

  /** A token by which a service shows another who it is. */
  async serviceToken(name: string, audience: string, changes: JWTPayload = {}): Promise<string> {
    const own = key.parse(JSON.parse(await readFile(join(this.servicesFolder, `${name}.json`), 'utf8')));
    return sign(own, 'service+jwt', { iss: name, aud: audience, ...changes });
  }

  /** A user's token, with what is to be different about it. */
  async userToken(
    email: string,
    sessionId: string,
    changes: JWTPayload = {},
    by: JWK = this.tokenKey,
    typ = 'at+jwt',
  ): Promise<string> {
    const claims = { iss: 'user_service', aud: 'messaging_suite', sub: email, sid: sessionId, ...changes };
    return sign(by, typ, claims);
  }
}

/** Makes a key pair that nobody knows. */
export async function newKey(kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { ...(await exportJWK(privateKey)), kid };
}

/** Signs a token that is good for a minute, unless it says otherwise. */
async function sign(by: JWK, typ: string, claims: JWTPayload): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  return new SignJWT({ iat: now, exp: now + 60, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', typ, kid: by.kid ?? '' })
    .sign(await importJWK(by, 'EdDSA'));
}
