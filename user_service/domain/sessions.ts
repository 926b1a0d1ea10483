import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { sessionEnded, type TokenAuthority } from '@messaging/service_kit/access/authority';
import { type PublicKeySet, signUserToken } from '@messaging/service_kit/access/tokens';
import { ServiceError } from '@messaging/service_kit/errors';
import type { RequestContext } from '@messaging/service_kit/request';
import type { EndedSession, SessionStore } from '../store/session-store.js';
import type { TokenKeys } from './token-keys.js';
import type { User } from './user.js';
import type { Users } from './users.js';

/** What shows that somebody is logged in. */
export interface SessionTokens {
  /** For the calls that somebody makes, until it ends, soon. */
  token: string;
  /** When it ends: ISO 8601, in UTC. */
  expires_at: string;
  /** For the next token, as long as the session goes on. */
  refresh_token: string;
  /** When the session ends, unless it is used again. */
  refresh_expires_at: string;
}

/** A session, as whoever begins it or goes on with it is told. */
export interface Session {
  user: User;
  tokens: SessionTokens;
}

/** For how long tokens and sessions are good. */
export interface SessionTimes {
  tokenLifetimeMs: number;
  /** How long a session goes on without being used. */
  sessionLifetimeMs: number;
}

/**
 * Who is logged in. A session is what a refresh token is for; each call is made with a token of a few minutes.
 *
 * @NOTE A refresh token stays the same for the whole session: who loses the answer to one request is not locked out, and
 * it is taken back by ending the session. To replace it each time (RFC 9700, section 4.14.2) is for clients that can't keep a secret.
 */
export class Sessions implements TokenAuthority {
  readonly findKey: TokenAuthority['findKey'];

  constructor(
    private readonly store: SessionStore,
    private readonly keys: TokenKeys,
    private readonly users: Users,
    private readonly times: SessionTimes,
  ) {
    this.findKey = keys.findKey;
  }

  /**
   * Begins a session. Resolves to undefined when the email or the password is wrong, as {@link Users.authenticate} tells.
   *
   * @throws {ServiceError} `unavailable` while something is left of an account that had this email before: nobody is to see it.
   */
  async logIn(email: string, password: string, context: RequestContext): Promise<Session | undefined> {
    const found = await this.users.authenticateVersion(email, password, context);
    if (!found) return undefined;
    const id = randomUUID();
    const secret = randomBytes(32).toString('base64url');
    const record = { email, secret_hash: hash(secret) };
    // Whatever ends all sessions changes the account: none that begins at the same time outlasts it.
    const added = await this.store.addSession(id, record, found.version, this.times.sessionLifetimeMs);
    if (added === 'changed') return undefined;
    if (added === 'occupied') {
      throw new ServiceError(
        'unavailable',
        'What another account has left at this address is still being cleared; try again shortly',
      );
    }
    return { user: found.user, tokens: await this.#tokens(id, email, `${id}.${secret}`) };
  }

  /**
   * Gives the next token of a session, and has the session go on.
   *
   * @throws {ServiceError} `unauthenticated` when the session has ended, or there has never been one.
   */
  async refresh(refreshToken: string): Promise<Session> {
    const { id, email } = await this.#find(refreshToken);
    const isExtended = await this.store.extendSession(id, email, this.times.sessionLifetimeMs);
    if (!isExtended) throw sessionEnded();
    const user = await this.users.getUser(email).catch((error: unknown) => {
      if (error instanceof ServiceError && error.kind === 'notFound') throw sessionEnded();
      throw error;
    });
    return { user, tokens: await this.#tokens(id, email, refreshToken) };
  }

  /** Ends a session, with all its tokens. @throws {ServiceError} `unauthenticated` when there is none. */
  async end(refreshToken: string): Promise<void> {
    const { id, email } = await this.#find(refreshToken);
    await this.store.endSession(id, email);
  }

  async checkSession(sessionId: string): Promise<void> {
    if (!(await this.store.findSession(sessionId))) throw sessionEnded();
  }

  /** Lists the sessions that were ended before their time, those after a position first. */
  async listEnded(after: string): Promise<{ sessions: EndedSession[]; nextAfter: string; hasMore: boolean }> {
    return this.store.listEnded(after);
  }

  /** The keys by which tokens are known. */
  async publicKeys(): Promise<PublicKeySet> {
    return this.keys.publicKeys();
  }

  async #find(refreshToken: string): Promise<{ id: string; email: string }> {
    const [id = '', secret = ''] = refreshToken.split('.');
    const session = await this.store.findSession(id);
    if (!session || !isSame(session.secret_hash, hash(secret))) throw sessionEnded();
    return { id, email: session.email };
  }

  async #tokens(sessionId: string, email: string, refreshToken: string): Promise<SessionTokens> {
    const now = Date.now();
    // A token counts in seconds.
    const expiresAt = Math.floor((now + this.times.tokenLifetimeMs) / 1_000) * 1_000;
    return {
      token: await signUserToken(await this.keys.signingKey(), { email, sessionId, expiresAt }),
      expires_at: new Date(expiresAt).toISOString(),
      refresh_token: refreshToken,
      refresh_expires_at: new Date(now + this.times.sessionLifetimeMs).toISOString(),
    };
  }
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
