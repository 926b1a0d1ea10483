import { createLocalJWKSet, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import { z } from 'zod';
import { ServiceError } from '../errors.js';
import type { TokenAuthority } from './authority.js';
import {
  type Caller,
  serviceName,
  type ServiceCaller,
  type ServiceName,
  type UserCaller,
} from './callers.js';
import { serviceKeys } from './identity.js';
import { ALGORITHM, tokenTypes, USER_TOKEN_AUDIENCE, USER_TOKEN_ISSUER } from './tokens.js';

const userClaims = z.object({ sub: z.string(), sid: z.string(), exp: z.number() });
const serviceClaims = z.object({ iss: serviceName, exp: z.number() });

const algorithms = [ALGORITHM];

/** Reads the tokens that a service is shown. It remembers none: one whose key is gone is none any more. */
export class TokenReader {
  readonly #findServiceKey = createLocalJWKSet(serviceKeys);

  /** @param reader the service that reads them */
  constructor(
    private readonly reader: ServiceName,
    private readonly authority: TokenAuthority,
  ) {}

  /**
   * Tells whose token it is. The signature takes 0.1 ms of CPU time.
   *
   * @throws {ServiceError} `unauthenticated` when it is none of ours, or has ended, or its session has; `unavailable` when that
   *   can't be known.
   */
  async read(token: string): Promise<Caller> {
    const caller = await this.#verify(token).catch((error: unknown) => {
      const isAboutToken = [errors.JOSEError, z.ZodError, TypeError].some((kind) => error instanceof kind);
      if (!isAboutToken) throw error;
      throw new ServiceError('unauthenticated', describe(error), { cause: error });
    });
    if (caller.kind === 'user') await this.authority.checkSession(caller.sessionId);
    return caller;
  }

  /** @throws {ServiceError} as `read` does, when the token of this caller would no longer be good. */
  async recheck({ sessionId, expiresAt }: UserCaller): Promise<void> {
    if (Date.now() >= expiresAt) {
      throw new ServiceError('unauthenticated', 'The token has expired: begin again with a new one');
    }
    await this.authority.checkSession(sessionId);
  }

  async #verify(token: string): Promise<Caller> {
    const isOfService = decodeProtectedHeader(token).typ === tokenTypes.service;
    return isOfService ? this.#verifyService(token) : this.#verifyUser(token);
  }

  async #verifyUser(token: string): Promise<UserCaller> {
    const { payload } = await jwtVerify(token, this.authority.findKey, {
      algorithms,
      audience: USER_TOKEN_AUDIENCE,
      typ: tokenTypes.user,
      issuer: USER_TOKEN_ISSUER,
    });
    const { sub, sid, exp } = userClaims.parse(payload);
    return { kind: 'user', email: sub, sessionId: sid, expiresAt: exp * 1_000 };
  }

  async #verifyService(token: string): Promise<ServiceCaller> {
    const { payload, protectedHeader } = await jwtVerify(token, this.#findServiceKey, {
      algorithms,
      audience: this.reader,
      typ: tokenTypes.service,
    });
    const { iss } = serviceClaims.parse(payload);
    // A service may sign for itself alone.
    if (protectedHeader.kid !== iss) {
      throw new errors.JWTClaimValidationFailed('signed by another service', payload, 'iss');
    }
    return { kind: 'service', name: iss };
  }
}

function describe(error: unknown): string {
  return error instanceof errors.JWTExpired
    ? 'The token has expired: get a new one with the refresh token, or log in again'
    : 'The token is not valid: log in, and send "Authorization: Bearer " with the token that you get';
}
