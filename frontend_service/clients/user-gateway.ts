import { ServiceError } from '@messaging/service_kit/errors';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import { RestPeer } from '@messaging/service_kit/rest/peer';
import { z } from 'zod';
import { user, type User } from '../domain/user.js';

const userReply = z.object({ user });
const createReply = z.object({ success: z.literal(true), message: z.string() });

/** UserService, as FrontendService needs it. */
export class UserGateway {
  readonly peer: RestPeer;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new RestPeer('UserService', address, timeoutMs, logger);
  }

  /**
   * Creates an account of what someone filled in. Resolves to what UserService says.
   *
   * @throws {ServiceError} `invalid` when it is not what makes an account, or the email is taken.
   */
  async createUser(form: unknown, context: RequestContext): Promise<z.output<typeof createReply>> {
    return this.peer.relay(context, { method: 'POST', path: '/users', body: form, reply: createReply });
  }

  /** Resolves to the account. @throws {ServiceError} `unauthenticated` when the email or the password is wrong. */
  async logIn(email: string, password: string, context: RequestContext): Promise<User> {
    const body = { email, password };
    const { user: known } = await this.peer.relay(context, {
      method: 'POST',
      path: '/login',
      body,
      reply: userReply,
    });
    return known;
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
