import { importJWK, type JWK, SignJWT } from 'jose';
import { z } from 'zod';
import type { ServiceName, UserCaller } from './callers.js';

export const ALGORITHM = 'EdDSA';
/** Whom a user's token is for: every service of the suite. */
export const USER_TOKEN_AUDIENCE = 'messaging_suite';
export const USER_TOKEN_ISSUER = 'user_service';

/** What a header says of the kind of token it is on (RFC 9068, section 2.1), so that none is taken for another. */
export const tokenTypes = { user: 'at+jwt', service: 'service+jwt' } as const;

/** A service's token is made anew before it ends; no receiver's clock may be further off. */
const SERVICE_TOKEN_SECONDS = 120;
const RENEW_BEFORE_SECONDS = 60;

/** A key pair of an issuer. Its `kid` names it, or the service that it is of. */
export const signingKey = z.looseObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  kid: z.string().min(1),
  x: z.string(),
  d: z.string(),
});
export type SigningKey = z.output<typeof signingKey>;

/** The public half of one. */
export const publicKey = signingKey.omit({ d: true }).transform(({ kty, crv, kid, x }) => ({
  kty,
  crv,
  kid,
  x,
  alg: ALGORITHM,
  use: 'sig',
}));

/** A set of public keys (RFC 7517, section 5). */
export const publicKeySet = z.object({ keys: z.array(publicKey) });
export type PublicKeySet = z.output<typeof publicKeySet>;

/** Signs a token that shows who a user is. */
export async function signUserToken(
  key: SigningKey,
  { email, sessionId, expiresAt }: Omit<UserCaller, 'kind'>,
): Promise<string> {
  return new SignJWT({ sid: sessionId })
    .setProtectedHeader({ alg: ALGORITHM, typ: tokenTypes.user, kid: key.kid })
    .setIssuer(USER_TOKEN_ISSUER)
    .setAudience(USER_TOKEN_AUDIENCE)
    .setSubject(email)
    .setIssuedAt()
    .setExpirationTime(Math.floor(expiresAt / 1_000))
    .sign(await importJWK(asJwk(key), ALGORITHM));
}

/** Signs the tokens by which one service shows others who it is. */
export class ServiceTokens {
  readonly #tokens = new Map<string, { token: Promise<string>; renewAt: number }>();

  constructor(
    private readonly name: ServiceName,
    private readonly key: SigningKey,
  ) {}

  /**
   * A token that is good for another minute at the least.
   *
   * @param audience the service that it is for: no other takes it, so that who gets it can't go on with it elsewhere
   */
  async current(audience: string): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const known = this.#tokens.get(audience);
    if (known && now < known.renewAt) return known.token;
    const token = this.#sign(audience, now + SERVICE_TOKEN_SECONDS);
    this.#tokens.set(audience, { token, renewAt: now + SERVICE_TOKEN_SECONDS - RENEW_BEFORE_SECONDS });
    return token;
  }

  async #sign(audience: string, expiresAt: number): Promise<string> {
    return new SignJWT()
      .setProtectedHeader({ alg: ALGORITHM, typ: tokenTypes.service, kid: this.key.kid })
      .setIssuer(this.name)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(expiresAt)
      .sign(await importJWK(asJwk(this.key), ALGORITHM));
  }
}

function asJwk({ kty, crv, kid, x, d }: SigningKey): JWK {
  return { kty, crv, kid, x, d };
}
