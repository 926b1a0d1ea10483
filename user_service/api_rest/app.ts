import { ServiceError } from '@messaging/service_kit/errors';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { toPageRequest } from '@messaging/service_kit/paging';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { UserServiceConfig } from '../config.js';
import { createUserService } from '../service.js';
import * as operations from './operations.js';

/** Creates the REST door of UserService and all that it needs, in the order to start. */
export function createRestApp(config: UserServiceConfig, logger: Logger): Component[] {
  const { users, redis, notificationService, components } = createUserService(config, logger);

  const server = new RestServer(
    config,
    logger,
    {
      name: 'UserService',
      description: 'Who has an account: it creates, changes and deletes users, and checks their passwords.',
      dependencies: [redis],
      peers: [notificationService],
    },
    (on) => {
      on(operations.createUser).do(async ({ body }, context) => {
        await asBadRequest(users.createUser(body, context));
        return { success: true, message: 'User created' };
      });

      on(operations.listUsers).do(async ({ query }) => {
        const page = await users.listUsers(toPageRequest(query));
        return {
          success: true,
          message: 'Users listed',
          users: page.items,
          next_page_token: page.nextPageToken,
        };
      });

      // Before those with an address in the path, which would take the word `email` for one.
      on(operations.updateNamedUser).do(async ({ body }, context) => {
        await asBadRequest(users.updateUser(body.email, body.data, context));
        return { success: true, message: 'User updated' };
      });

      on(operations.deleteNamedUser).do(async ({ body }) => users.deleteUser(body.email));

      on(operations.getUser).do(async ({ params }) => ({
        success: true,
        message: 'User found',
        user: await users.getUser(params.email),
      }));

      on(operations.updateUser).do(async ({ params, body }, context) => {
        await asBadRequest(users.updateUser(params.email, body, context));
        return { success: true, message: 'User updated' };
      });

      on(operations.deleteUser).do(async ({ params }) => users.deleteUser(params.email));

      on(operations.logIn).do(async ({ body }) => {
        const user = await users.authenticate(body.email, body.password);
        if (!user) throw new ServiceError('unauthenticated', 'The email or the password is wrong');
        return { success: true, message: 'The password is right', user };
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
