import { randomBytes } from 'node:crypto';
import { isTransient, ServiceError } from '@messaging/service_kit/errors';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import { errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import type { UserGateway } from '../clients/user-gateway.js';
import type { User } from './user.js';

const LIFETIME_MS = 7 * 24 * 60 * 60 * 1_000;
const ALGORITHM = 'HS256';
/** Keeps apart what else the same key may sign. */
const AUDIENCE = 'inbox';

/** Who is signed in, and until when. */
export interface Session {
  user: User;
  /** In milliseconds since the epoch. */
  expiresAt: number;
}

/** What a token says, besides what every token says (RFC 7519, section 4.1). */
const claims = z.object({ sub: z.string(), name: z.string(), exp: z.number() });

/** Who is signed in. Nothing is stored: a session is a signed token, which its holder shows with each request. */
export class Sessions {
  readonly #key: Uint8Array;

  /** @param secret what the tokens are signed with; without one they are good until this process ends, and here alone */
  constructor(
    private readonly users: UserGateway,
    secret: string | undefined,
    logger: Logger,
  ) {
    this.#key = secret === undefined ? randomBytes(32) : new TextEncoder().encode(secret);
    if (secret === undefined) {
      logger.warn(
        'SESSION_SECRET is not set: all have to sign in again after a restart, and on each replica',
      );
    }
  }

  /** Begins a session. @throws {ServiceError} `unauthenticated` when the email or the password is wrong. */
  async logIn(
    email: string,
    password: string,
    context: RequestContext,
  ): Promise<{ token: string; session: Session }> {
    const user = await this.users.logIn(email, password, context);
    // A token counts in seconds.
    const expiresInSeconds = Math.floor((Date.now() + LIFETIME_MS) / 1_000);
    const token = await new SignJWT({ name: user.name })
      .setProtectedHeader({ alg: ALGORITHM })
      .setSubject(user.email)
      .setAudience(AUDIENCE)
      .setIssuedAt()
      .setExpirationTime(expiresInSeconds)
      .sign(this.#key);
    return { token, session: { user, expiresAt: expiresInSeconds * 1_000 } };
  }

  /** Reads a token. @throws {ServiceError} `unauthenticated` when it is none of ours, or has expired. */
  async readToken(token: string | undefined): Promise<Session> {
    if (!token) throw new ServiceError('unauthenticated', 'Sign in first');
    try {
      const { payload } = await jwtVerify(token, this.#key, { algorithms: [ALGORITHM], audience: AUDIENCE });
      const { sub, name, exp } = claims.parse(payload);
      return { user: { email: sub, name }, expiresAt: exp * 1_000 };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      throw new ServiceError('unauthenticated', 'Your session has ended: sign in again', { cause: error });
    }
  }

  /**
   * Resolves to the account that a session is of, as it is now; while UserService is away, as it was.
   *
   * @throws {ServiceError} `unauthenticated` when there is no such account any more.
   */
  async getUser({ user }: Session, context: RequestContext): Promise<User> {
    let current: User | undefined;
    try {
      current = await this.users.findUser(user.email, context);
    } catch (error) {
      if (isTransient(error)) return user;
      throw error;
    }
    if (!current) throw new ServiceError('unauthenticated', 'Your account does not exist any more');
    return current;
  }
}
