import { anyone, onlyServices, ownerOf } from '@messaging/service_kit/access/rules';
import { ServiceError } from '@messaging/service_kit/errors';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { toPageRequest } from '@messaging/service_kit/paging';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { UserServiceConfig } from '../config.js';
import { createUserService } from '../service.js';
import * as operations from './operations.js';

/** Those who let nobody in any more with a token of a session that has ended. */
const ALL_SERVICES = ['message_service', 'notification_service', 'frontend_service'] as const;

/** Creates the REST door of UserService and all that it needs, in the order to start. */
export function createRestApp(config: UserServiceConfig, logger: Logger): Component[] {
  const { users, sessions, exports, access, clients, redis, peers, components } = createUserService(
    config,
    logger,
  );

  const server = new RestServer(
    config,
    logger,
    {
      name: 'UserService',
      description: 'Who has an account: it creates, changes and deletes users, and checks their passwords.',
      access,
      clients,
      dependencies: [redis],
      peers,
    },
    (on) => {
      on(operations.createUser, anyone).do(async ({ body }, context) => {
        await asBadRequest(users.createUser(body, context));
        return { success: true, message: 'User created' };
      });

      on(operations.listUsers, onlyServices()).do(async ({ query }) => {
        const page = await users.listUsers(toPageRequest(query));
        return {
          success: true,
          message: 'Users listed',
          users: page.items,
          next_page_token: page.nextPageToken,
        };
      });

      // Before those with an address in the path, which would take the word `email` for one.
      on(
        operations.updateNamedUser,
        ownerOf(({ body }) => body.email),
      ).do(async ({ body }, context) => {
        await asBadRequest(users.updateUser(body.email, body.data, context));
        return { success: true, message: 'User updated' };
      });

      on(
        operations.deleteNamedUser,
        ownerOf(({ body }) => body.email),
      ).do(async ({ body }, context) => users.deleteUser(body.email, context));

      on(
        operations.getUser,
        ownerOf(({ params }) => params.email),
      ).do(async ({ params }) => ({
        success: true,
        message: 'User found',
        user: await users.getUser(params.email),
      }));

      on(
        operations.exportUser,
        ownerOf(({ params }) => params.email),
      ).pieces(async ({ params }, context, signal) => exports.exportUser(params.email, context, signal));

      on(
        operations.updateUser,
        ownerOf(({ params }) => params.email),
      ).do(async ({ params, body }, context) => {
        await asBadRequest(users.updateUser(params.email, body, context));
        return { success: true, message: 'User updated' };
      });

      on(
        operations.deleteUser,
        ownerOf(({ params }) => params.email),
      ).do(async ({ params }, context) => users.deleteUser(params.email, context));

      on(operations.logIn, anyone).do(async ({ body: { email, password } }, context) => {
        const answer = { success: true as const, message: 'The password is right' };
        // Who asks nobody for a token gives none.
        if (!access.isRequired) {
          return { ...answer, user: requireRight(await users.authenticate(email, password, context)) };
        }
        const { user, tokens } = requireRight(await sessions.logIn(email, password, context));
        return { ...answer, user, ...tokens };
      });

      on(operations.beginSession, anyone).do(async ({ body: { email, password } }, context) => {
        const { user, tokens } = requireRight(await sessions.logIn(email, password, context));
        return { success: true, message: 'The session has begun', user, ...tokens };
      });

      on(operations.refreshToken, anyone).do(async ({ body }) => {
        const { user, tokens } = await sessions.refresh(body.refresh_token);
        return { success: true, message: 'The session goes on', user, ...tokens };
      });

      on(operations.logOut, anyone).do(async ({ body }) => sessions.end(body.refresh_token));

      on(operations.listTokenKeys, anyone).do(async () => sessions.publicKeys());

      on(operations.listEndedSessions, onlyServices(...ALL_SERVICES)).do(async ({ query }) => {
        const { sessions: ended, nextAfter, hasMore } = await sessions.listEnded(query.after);
        return { sessions: ended, next_after: nextAfter, has_more: hasMore };
      });
    },
  );
  return [...components, server];
}

/** An email that is taken has always been a 400 at this door. */
async function asBadRequest<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ServiceError && error.kind === 'conflict')
      throw new ServiceError('invalid', error.message);
    throw error;
  }
}

function requireRight<Found>(found: Found | undefined): Found {
  if (found === undefined) {
    throw new ServiceError('unauthenticated', 'The email or the password is wrong');
  }
  return found;
}
