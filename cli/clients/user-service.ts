import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import { RestPeer } from '@messaging/service_kit/rest/peer';
import { z } from 'zod';

const user = z.object({ email: z.string(), name: z.string() });
export type User = z.output<typeof user>;

const page = z.object({ users: z.array(user), next_page_token: z.string() });
const PAGE_SIZE = 500;

/** UserService's REST door. */
export class UserServiceClient {
  readonly #peer: RestPeer;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.#peer = new RestPeer(`UserService at ${address}`, 'user_service', address, timeoutMs, logger);
  }

  /** @throws {ServiceError} `invalid` where that makes no account, or the email is taken. */
  async createUser(account: User & { password: string }, context: RequestContext): Promise<void> {
    await this.#peer.relay(context, { method: 'POST', path: '/users', body: account, reply: z.unknown() });
  }

  /** @throws {ServiceError} `notFound` where there is no such user. */
  async deleteUser(email: string, context: RequestContext): Promise<void> {
    const path = `/users/${encodeURIComponent(email)}`;
    await this.#peer.relay(context, { method: 'DELETE', path, reply: z.unknown() });
  }

  /** Lists all users, page by page. */
  async *listUsers(newContext: () => RequestContext): AsyncGenerator<User, void> {
    let token = '';
    do {
      const query = new URLSearchParams({ page_size: String(PAGE_SIZE), page_token: token });
      const { users, next_page_token } = await this.#peer.relay(newContext(), {
        method: 'GET',
        path: `/users?${query.toString()}`,
        reply: page,
      });
      yield* users;
      token = next_page_token;
    } while (token !== '');
  }
}
