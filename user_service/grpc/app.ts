import type { ProtoGrpcType } from '@messaging/proto_definitions/user';
import type { UserServiceHandlers } from '@messaging/proto_definitions/user_service/UserService';
import { anyone, onlyServices, ownerOf } from '@messaging/service_kit/access/rules';
import { optionalEmail, requiredEmail } from '@messaging/service_kit/email';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import { parseInput } from '@messaging/service_kit/input';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { pageSize, pageToken } from '@messaging/service_kit/paging';
import { z } from 'zod';
import type { UserServiceConfig } from '../config.js';
import { createUserService } from '../service.js';

const { UserService } = loadProto<ProtoGrpcType>('user.proto').user_service;

const credentials = z.object({ email: optionalEmail, password: z.string().default('') });
const sessionRequest = z.object({ refresh_token: z.string().default('') });
const userQuery = z.object({ email: optionalEmail });
const accountQuery = z.object({ email: requiredEmail });
const nothing = z.object({});
const existenceWish = z.object({ with_tenures: z.boolean().default(false) });
const pageQuery = z.object({ page_size: pageSize, page_token: pageToken });

/** Creates the gRPC door of UserService and all that it needs, in the order to start. */
export function createGrpcApp(config: UserServiceConfig, logger: Logger): Component[] {
  const { users, sessions, access, clients, redis, components } = createUserService(config, logger);

  const server = new GrpcServer(
    config,
    logger,
    {
      name: 'user_service.UserService',
      definition: UserService.service,
      access,
      clients,
      dependencies: [redis],
    },
    ({ unary, stream, wholeBatch }): UserServiceHandlers => {
      const checkBatch = wholeBatch(
        'emails',
        optionalEmail,
        onlyServices('message_service'),
        async (emails, { request }) => {
          const { with_tenures } = parseInput(existenceWish, request);
          const found = await users.usersExist(emails);
          return {
            exists: found.map(({ exists }) => exists),
            ...(with_tenures && { tenures: { numbers: found.map(({ tenure }) => tenure) } }),
          };
        },
      );
      return {
        AuthenticateUser: unary(credentials, anyone, async ({ email, password }, context) => {
          // Who asks nobody for a token gives none: callers of the open mode get what they always got.
          if (!access.isRequired) {
            return { email, success: (await users.authenticate(email, password, context)) !== undefined };
          }
          const session = await sessions.logIn(email, password, context);
          return { email, success: session !== undefined, ...session?.tokens };
        }),

        RefreshToken: unary(sessionRequest, anyone, async ({ refresh_token }) => {
          const { user, tokens } = await sessions.refresh(refresh_token);
          return { user, ...tokens };
        }),

        LogOut: unary(sessionRequest, anyone, async ({ refresh_token }) => {
          await sessions.end(refresh_token);
          return { success: true };
        }),

        CheckUserExists: unary(
          userQuery,
          ownerOf(({ email }) => email, 'message_service'),
          async ({ email }) => ({ exists: await users.userExists(email) }),
        ),

        CheckUsersExist: unary(...checkBatch),
        CheckUsersExistStream: stream(...checkBatch),

        ListUsers: unary(nothing, onlyServices(), async () => ({ users: await users.listAllUsers() })),

        GetUser: unary(
          accountQuery,
          ownerOf(({ email }) => email),
          async ({ email }) => ({ user: await users.getUser(email) }),
        ),

        ListUsersPage: unary(pageQuery, onlyServices(), async ({ page_size, page_token }) => {
          const page = await users.listUsers({ size: page_size, token: page_token });
          return { users: page.items, next_page_token: page.nextPageToken };
        }),
      };
    },
  );
  return [...components, server];
}
