import { ServiceError } from '@messaging/service_kit/errors';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import { RestPeer } from '@messaging/service_kit/rest/peer';
import { decodeJwt } from 'jose';
import { z } from 'zod';
import { user, type User } from '../domain/user.js';

const userReply = z.object({ user });
const sessionReply = z
  .object({
    user,
    token: z.string(),
    expires_at: z.string(),
    refresh_token: z.string(),
    refresh_expires_at: z.string(),
  })
  .transform((reply) => ({ ...reply, session_id: sessionClaim.parse(decodeJwt(reply.token)).sid }));
const sessionClaim = z.object({ sid: z.string() });

/** What UserService says of a session. */
export type SessionReply = z.output<typeof sessionReply>;

const createReply = z.object({ success: z.literal(true), message: z.string() });

/** UserService, as FrontendService needs it. */
export class UserGateway {
  readonly peer: RestPeer;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new RestPeer('UserService', 'user_service', address, timeoutMs, logger);
  }

  /**
   * Creates an account of what someone filled in. Resolves to what UserService says.
   *
   * @throws {ServiceError} `invalid` when it is not what makes an account, or the email is taken.
   */
  async createUser(form: unknown, context: RequestContext): Promise<z.output<typeof createReply>> {
    return this.peer.relay(context, { method: 'POST', path: '/users', body: form, reply: createReply });
  }

  /** Begins a session. @throws {ServiceError} `unauthenticated` when the email or the password is wrong. */
  async logIn(email: string, password: string, context: RequestContext): Promise<SessionReply> {
    const body = { email, password };
    return this.peer.relay(context, { method: 'POST', path: '/sessions', body, reply: sessionReply });
  }

  /** Gets the next token of a session. @throws {ServiceError} `unauthenticated` when it has ended. */
  async refresh(refreshToken: string, context: RequestContext): Promise<SessionReply> {
    const body = { refresh_token: refreshToken };
    return this.peer.relay(context, { method: 'POST', path: '/token', body, reply: sessionReply });
  }

  /** Ends a session. @throws {ServiceError} `unauthenticated` when it has ended already. */
  async logOut(refreshToken: string, context: RequestContext): Promise<void> {
    const body = { refresh_token: refreshToken };
    await this.peer.relay(context, { method: 'POST', path: '/logout', body, reply: z.undefined() });
  }

  /** Resolves to undefined where there is no such account. @throws {ServiceError} when UserService does not say. */
  async findUser(email: string, context: RequestContext): Promise<User | undefined> {
    const path = `/users/${encodeURIComponent(email)}`;
    try {
      return (await this.peer.relay(context, { method: 'GET', path, reply: userReply })).user;
    } catch (error) {
      if (error instanceof ServiceError && error.kind === 'notFound') return undefined;
      throw error;
    }
  }
}
