import { requiredEmail } from '@messaging/service_kit/email';
import { ServiceError } from '@messaging/service_kit/errors';
import { parseInput } from '@messaging/service_kit/input';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { pageQuery } from '@messaging/service_kit/paging';
import { RestServer } from '@messaging/service_kit/rest/server';
import { z } from 'zod';
import type { UserServiceConfig } from '../config.js';
import { newUser, userChanges } from '../domain/user.js';
import { createUserService } from '../service.js';

const userQuery = z.object({ email: requiredEmail });
const namedChanges = z.strictObject({ email: requiredEmail, data: userChanges });
const credentials = z.object({ email: requiredEmail, password: z.string().min(1, 'is required') });

/** Creates the REST door of UserService and all that it needs, in the order to start. */
export function createRestApp(config: UserServiceConfig, logger: Logger): Component[] {
  const { users, redis, notificationService, components } = createUserService(config, logger);

  const server = new RestServer(
    config,
    logger,
    { name: 'UserService', dependencies: [redis], peers: [notificationService] },
    (add) => {
      add('post', '/users', async (request, response, context) => {
        await asBadRequest(users.createUser(parseInput(newUser, request.body), context));
        response.status(201).json({ success: true, message: 'User created' });
      });

      add('get', '/users', async (request, response) => {
        const { page_size, page_token } = parseInput(pageQuery, request.query);
        const page = await users.listUsers({ size: page_size, token: page_token });
        response.json({
          success: true,
          message: 'Users listed',
          users: page.items,
          next_page_token: page.nextPageToken,
        });
      });

      // The word `email` comes literally in this route's path; the address comes in the body.
      add('put', '/users/email', async (request, response, context) => {
        const { email, data } = parseInput(namedChanges, request.body);
        await asBadRequest(users.updateUser(email, data, context));
        response.json({ success: true, message: 'User updated' });
      });

      add('delete', '/users/email', async (request, response) => {
        const { email } = parseInput(userQuery, request.body);
        await users.deleteUser(email);
        response.status(204).end();
      });

      add('get', '/users/:email', async (request, response) => {
        const { email } = parseInput(userQuery, request.params);
        response.json({ success: true, message: 'User found', user: await users.getUser(email) });
      });

      add('put', '/users/:email', async (request, response, context) => {
        const { email } = parseInput(userQuery, request.params);
        await asBadRequest(users.updateUser(email, parseInput(userChanges, request.body), context));
        response.json({ success: true, message: 'User updated' });
      });

      add('delete', '/users/:email', async (request, response) => {
        const { email } = parseInput(userQuery, request.params);
        await users.deleteUser(email);
        response.status(204).end();
      });

      add('post', '/login', async (request, response) => {
        const { email, password } = parseInput(credentials, request.body);
        const user = await users.authenticate(email, password);
        if (!user) throw new ServiceError('unauthenticated', 'The email or the password is wrong');
        response.json({ success: true, message: 'The password is right', user });
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
