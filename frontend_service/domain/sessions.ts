import { isTransient, ServiceError } from '@messaging/service_kit/errors';
import type { RequestContext } from '@messaging/service_kit/request';
import type { SessionReply, UserGateway } from '../clients/user-gateway.js';
import type { User } from './user.js';

/** A token is replaced so long before it ends: no call that is made with it takes longer. */
const RENEW_BEFORE_MS = 30_000;

/** How many sessions are kept at hand; others are only a question away. */
const MAX_KNOWN = 10_000;

/** Who is signed in, and the token that shows it to the other services. */
export interface Session {
  id: string;
  user: User;
  token: string;
  /** When the token ends, in milliseconds since the epoch. */
  tokenExpiresAt: number;
}

/** Tells which sessions were ended elsewhere. */
export interface EndedSessions {
  hasEnded(sessionId: string): boolean;
}

/**
 * Who is signed in. The sessions are UserService's: a browser keeps the refresh token, which is good at every replica, and
 * what that gives is kept here until it ends.
 */
export class Sessions {
  readonly #known = new Map<string, Promise<Session>>();

  constructor(
    private readonly users: UserGateway,
    private readonly ended: EndedSessions,
  ) {}

  /** Begins a session. @throws {ServiceError} `unauthenticated` when the email or the password is wrong. */
  async logIn(
    email: string,
    password: string,
    context: RequestContext,
  ): Promise<{ refreshToken: string; user: User; expiresAt: number }> {
    const reply = await this.users.logIn(email, password, context);
    const refreshToken = reply.refresh_token;
    this.#remember(refreshToken, Promise.resolve(toSession(reply)));
    return { refreshToken, user: reply.user, expiresAt: Date.parse(reply.refresh_expires_at) };
  }

  /** Finds the session that a refresh token is of. @throws {ServiceError} `unauthenticated` when there is none, or it has ended. */
  async find(refreshToken: string | undefined, context: RequestContext): Promise<Session> {
    if (!refreshToken) throw new ServiceError('unauthenticated', 'Sign in first');
    const known = await this.#known.get(refreshToken)?.catch(() => undefined);
    if (known && this.hasEnded(known)) {
      this.#known.delete(refreshToken);
      throw sessionEnded();
    }
    if (known && Date.now() < known.tokenExpiresAt - RENEW_BEFORE_MS) return known;
    return this.#renew(refreshToken, context);
  }

  /** Ends a session, wherever it is used. @throws {ServiceError} `unauthenticated` when there is none. */
  async logOut(refreshToken: string | undefined, context: RequestContext): Promise<void> {
    if (!refreshToken) throw new ServiceError('unauthenticated', 'Sign in first');
    await this.users.logOut(refreshToken, context);
    this.#known.delete(refreshToken);
  }

  /** Whether a session is known to have ended. */
  hasEnded({ id }: Session): boolean {
    return this.ended.hasEnded(id);
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

  /** Those who need it at the same time share what comes of it. */
  async #renew(refreshToken: string, context: RequestContext): Promise<Session> {
    const renewed = this.users.refresh(refreshToken, context).then(toSession);
    this.#remember(refreshToken, renewed);
    try {
      return await renewed;
    } catch (error) {
      this.#known.delete(refreshToken);
      if (error instanceof ServiceError && error.kind === 'unauthenticated') throw sessionEnded();
      throw error;
    }
  }

  #remember(refreshToken: string, session: Promise<Session>): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(refreshToken, session);
  }
}

function toSession({ user, token, expires_at, session_id }: SessionReply): Session {
  return { id: session_id, user, token, tokenExpiresAt: Date.parse(expires_at) };
}

function sessionEnded(): ServiceError {
  return new ServiceError('unauthenticated', 'Your session has ended: sign in again');
}
