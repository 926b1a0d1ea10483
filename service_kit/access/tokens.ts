import {
  decodeProtectedHeader,
  errors,
  importJWK,
  type JWK,
  jwtVerify,
  type JWTVerifyGetKey,
  SignJWT,
} from 'jose';
import { z } from 'zod';
import { ServiceError } from '../errors.js';
import { type Caller, serviceName, type ServiceName, type UserCaller } from './callers.js';

const ALGORITHM = 'EdDSA';
/** Whom a user's token is for: every service of the suite. */
const USER_TOKEN_AUDIENCE = 'messaging_suite';
const USER_TOKEN_ISSUER = 'user_service';

/** What a header says of the kind of token it is on (RFC 9068, section 2.1), so that none is taken for another. */
const types = { user: 'at+jwt', service: 'service+jwt' } as const;

/** A service's token is made anew before it ends; no receiver's clock may be further off. */
const SERVICE_TOKEN_SECONDS = 120;
const RENEW_BEFORE_SECONDS = 60;

/** How many tokens are known again without a look at their signature, which takes a tenth of a millisecond. */
const MAX_KNOWN = 10_000;

const userClaims = z.object({ sub: z.string(), sid: z.string(), exp: z.number() });
const serviceClaims = z.object({ iss: serviceName, exp: z.number() });

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
    .setProtectedHeader({ alg: ALGORITHM, typ: types.user, kid: key.kid })
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
      .setProtectedHeader({ alg: ALGORITHM, typ: types.service, kid: this.key.kid })
      .setIssuer(this.name)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(expiresAt)
      .sign(await importJWK(asJwk(this.key), ALGORITHM));
  }
}

/** Where the public keys of issuers are found. */
export interface TokenKeys {
  /** Those that sign users' tokens. */
  user: JWTVerifyGetKey;
  /** Those of the services, each with the service's name as its `kid`. */
  service: JWTVerifyGetKey;
}

/** Reads tokens. It remembers those that it has found good, until they end. */
export class TokenReader {
  readonly #known = new Map<string, { caller: Caller; expiresAt: number }>();

  /** @param reader the service that reads them */
  constructor(
    private readonly reader: ServiceName,
    private readonly keys: TokenKeys,
  ) {}

  /**
   * Tells whose token it is.
   *
   * @throws {ServiceError} `unauthenticated` when it is none of ours or has ended.
   */
  async read(token: string): Promise<Caller> {
    const known = this.#known.get(token);
    if (known && known.expiresAt > Date.now()) return known.caller;
    this.#known.delete(token);
    const found = await this.#verify(token).catch((error: unknown) => {
      if (error instanceof errors.JOSEError || error instanceof z.ZodError || error instanceof TypeError) {
        throw new ServiceError('unauthenticated', describe(error), { cause: error });
      }
      throw error;
    });
    if (this.#known.size >= MAX_KNOWN) this.#forgetOldest();
    this.#known.set(token, found);
    return found.caller;
  }

  async #verify(token: string): Promise<{ caller: Caller; expiresAt: number }> {
    const { typ } = decodeProtectedHeader(token);
    const algorithms = [ALGORITHM];
    if (typ === types.service) {
      const { payload, protectedHeader } = await jwtVerify(token, this.keys.service, {
        algorithms,
        audience: this.reader,
        typ: types.service,
      });
      const { iss, exp } = serviceClaims.parse(payload);
      if (protectedHeader.kid !== iss)
        throw new errors.JWTClaimValidationFailed('another key', payload, 'iss');
      return { caller: { kind: 'service', name: iss }, expiresAt: exp * 1_000 };
    }
    const { payload } = await jwtVerify(token, this.keys.user, {
      algorithms,
      audience: USER_TOKEN_AUDIENCE,
      typ: types.user,
      issuer: USER_TOKEN_ISSUER,
    });
    const { sub, sid, exp } = userClaims.parse(payload);
    const expiresAt = exp * 1_000;
    return { caller: { kind: 'user', email: sub, sessionId: sid, expiresAt }, expiresAt };
  }

  #forgetOldest(): void {
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

function describe(error: Error): string {
  return error instanceof errors.JWTExpired
    ? 'The token has expired: get a new one with the refresh token, or log in again'
    : 'The token is not valid: log in, and send "Authorization: Bearer " with the token that you get';
}

function asJwk({ kty, crv, kid, x, d }: SigningKey): JWK {
  return { kty, crv, kid, x, d };
}
