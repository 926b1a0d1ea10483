import type { ProtoGrpcType } from '@messaging/proto_definitions/user';
import type { UserServiceHandlers } from '@messaging/proto_definitions/user_service/UserService';
import { optionalEmail, requiredEmail } from '@messaging/service_kit/email';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { GrpcServer } from '@messaging/service_kit/grpc/server';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { pageSize, pageToken } from '@messaging/service_kit/paging';
import { z } from 'zod';
import type { UserServiceConfig } from '../config.js';
import { createUserService } from '../service.js';

const { UserService } = loadProto<ProtoGrpcType>('user.proto').user_service;

const credentials = z.object({ email: optionalEmail, password: z.string().default('') });
const userQuery = z.object({ email: optionalEmail });
const accountQuery = z.object({ email: requiredEmail });
const nothing = z.object({});
const pageQuery = z.object({ page_size: pageSize, page_token: pageToken });

/** Creates the gRPC door of UserService and all that it needs, in the order to start. */
export function createGrpcApp(config: UserServiceConfig, logger: Logger): Component[] {
  const { users, redis, components } = createUserService(config, logger);

  const server = new GrpcServer(
    config,
    logger,
    { name: 'user_service.UserService', definition: UserService.service, dependencies: [redis] },
    ({ unary, stream, wholeBatch }): UserServiceHandlers => {
      const checkBatch = wholeBatch('emails', optionalEmail, async (emails) => ({
        exists: await users.usersExist(emails),
      }));
      return {
        AuthenticateUser: unary(credentials, async ({ email, password }) => ({
          email,
          success: (await users.authenticate(email, password)) !== undefined,
        })),

        CheckUserExists: unary(userQuery, async ({ email }) => ({ exists: await users.userExists(email) })),

        CheckUsersExist: unary(...checkBatch),
        CheckUsersExistStream: stream(...checkBatch),

        ListUsers: unary(nothing, async () => ({ users: await users.listAllUsers() })),

        GetUser: unary(accountQuery, async ({ email }) => ({ user: await users.getUser(email) })),

        ListUsersPage: unary(pageQuery, async ({ page_size, page_token }) => {
          const page = await users.listUsers({ size: page_size, token: page_token });
          return { users: page.items, next_page_token: page.nextPageToken };
        }),
      };
    },
  );
  return [...components, server];
}
