import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import type { ProtoGrpcType as FrontendProto } from '@messaging/proto_definitions/frontend';
import type { ProtoGrpcType as MessageProto } from '@messaging/proto_definitions/message';
import type { GetMessagesRequest } from '@messaging/proto_definitions/message_service/GetMessagesRequest';
import type { Message__Output as Message } from '@messaging/proto_definitions/message_service/Message';
import type { SendMessageResponse__Output as SendMessageResponse } from '@messaging/proto_definitions/message_service/SendMessageResponse';
import type { ProtoGrpcType as NotificationProto } from '@messaging/proto_definitions/notification';
import type { ProtoGrpcType as UserProto } from '@messaging/proto_definitions/user';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { Redis } from 'ioredis';
import { afterAll, inject } from 'vitest';
import { credentialsFor } from './credentials.js';
import { restClient } from './rest.js';
import type { Addresses, ProcessName } from './suite.js';

const CALL_TIMEOUT_MS = 30_000;

const users = loadProto<UserProto>('user.proto').user_service.UserService.service;
const messages = loadProto<MessageProto>('message.proto').message_service.MessageService.service;
const notifications =
  loadProto<NotificationProto>('notification.proto').notification_service.NotificationService.service;
const frontend = loadProto<FrontendProto>('frontend.proto').frontend_service.FrontendService.service;

/** One method of a gRPC service: what it takes to call it. */
interface Method<Request, Reply> {
  path: string;
  requestSerialize: (request: Request) => Buffer;
  responseDeserialize: (bytes: Buffer) => Reply;
}

/** Makes the clients of one suite: REST, gRPC and Redis, each connected when it is first used. */
export function connect(
  addresses: Addresses,
  redisAddress: { host: string; port: number },
  openChannel = (address: string) => new Client(address, credentials.createInsecure()),
) {
  const channels = new Map<ProcessName, Client>();
  const databases = new Map<number, Redis>();

  const ask = (name: ProcessName) => restClient(name, addresses[name]);

  const channel = (name: ProcessName) => {
    const open = channels.get(name) ?? openChannel(addresses[name]);
    channels.set(name, open);
    return open;
  };

  /** Sends all requests on one stream, ends it, and resolves to the replies as they came. */
  const stream =
    <Request, Reply>(name: ProcessName, method: Method<Request, Reply>) =>
    async (requests: Request[]): Promise<Reply[]> => {
      const call = channel(name).makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        toMetadata(credentialsFor(method.path, undefined)),
        { deadline: Date.now() + CALL_TIMEOUT_MS },
      );
      for (const request of requests) call.write(request);
      call.end();
      const replies: Reply[] = [];
      call.on('data', (reply: Reply) => replies.push(reply));
      await once(call, 'end');
      return replies;
    };

  /** Rejects with grpc-js's ServiceError. */
  const unary =
    <Request, Reply>(name: ProcessName, method: Method<Request, Reply>) =>
    (request: Request, metadata: Record<string, string> = {}): Promise<Reply> =>
      new Promise((resolve, reject) => {
        channel(name).makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          toMetadata({ ...credentialsFor(method.path, request), ...metadata }),
          { deadline: Date.now() + CALL_TIMEOUT_MS },
          (error, reply) => {
            if (error) reject(error);
            else if (reply === undefined) reject(new Error(`${method.path} answered with nothing`));
            else resolve(reply);
          },
        );
      });

  return {
    addresses,
    channel,
    rest: {
      users: () => ask('user_service_api'),
      messages: () => ask('message_service_api'),
      notifications: () => ask('notification_service_api'),
      frontend: () => ask('frontend_service_api'),
    },
    grpc: {
      users: {
        AuthenticateUser: unary('user_service_grpc', users.AuthenticateUser),
        RefreshToken: unary('user_service_grpc', users.RefreshToken),
        LogOut: unary('user_service_grpc', users.LogOut),
        CheckUserExists: unary('user_service_grpc', users.CheckUserExists),
        CheckUsersExist: unary('user_service_grpc', users.CheckUsersExist),
        CheckUsersExistStream: stream('user_service_grpc', users.CheckUsersExistStream),
        ListUsers: unary('user_service_grpc', users.ListUsers),
        GetUser: unary('user_service_grpc', users.GetUser),
        ListUsersPage: unary('user_service_grpc', users.ListUsersPage),
      },
      messages: {
        SendMessage: unary('message_service_grpc', messages.SendMessage),
        GetMessages: unary('message_service_grpc', messages.GetMessages),
        ListConversations: unary('message_service_grpc', messages.ListConversations),
        MarkConversationRead: unary('message_service_grpc', messages.MarkConversationRead),
        DeleteMessage: unary('message_service_grpc', messages.DeleteMessage),
        MoveMailbox: unary('message_service_grpc', messages.MoveMailbox),
        EraseMailbox: unary('message_service_grpc', messages.EraseMailbox),
      },
      notifications: {
        CreateNotification: unary('notification_service_grpc', notifications.CreateNotification),
        CreateNotifications: unary('notification_service_grpc', notifications.CreateNotifications),
        CreateNotificationsStream: stream(
          'notification_service_grpc',
          notifications.CreateNotificationsStream,
        ),
        ListNotifications: unary('notification_service_grpc', notifications.ListNotifications),
        MarkNotificationsRead: unary('notification_service_grpc', notifications.MarkNotificationsRead),
        DeleteNotifications: unary('notification_service_grpc', notifications.DeleteNotifications),
        CountUnread: unary('notification_service_grpc', notifications.CountUnread),
        CheckUserSubscribed: unary('notification_service_grpc', notifications.CheckUserSubscribed),
        SubscribeUser: unary('notification_service_grpc', notifications.SubscribeUser),
        UnsubscribeUser: unary('notification_service_grpc', notifications.UnsubscribeUser),
        MoveNotifications: unary('notification_service_grpc', notifications.MoveNotifications),
        EraseNotifications: unary('notification_service_grpc', notifications.EraseNotifications),
      },
      frontend: {
        ReceiveNotification: unary('frontend_service_grpc', frontend.ReceiveNotification),
        ReceiveNotifications: unary('frontend_service_grpc', frontend.ReceiveNotifications),
        EndWatches: unary('frontend_service_grpc', frontend.EndWatches),
      },
    },
    /** A database of Redis: 0 is UserService's, 1 MessageService's, 2 NotificationService's. */
    redis: (database: 0 | 1 | 2) => {
      const open = databases.get(database) ?? new Redis({ ...redisAddress, db: database });
      databases.set(database, open);
      return open;
    },
    close: () => {
      for (const open of channels.values()) open.close();
      for (const open of databases.values()) open.disconnect();
    },
  };
}

function toMetadata(entries: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(entries)) metadata.set(key, value);
  return metadata;
}

/** The suite that the tests share. */
export const { addresses, channel, rest, grpc, redis, close } = connect(inject('addresses'), inject('redis'));
afterAll(close);

/** Makes an address that no other test uses, so that tests need no order and no cleaning up. */
export function newEmail(name: string): string {
  return `${name}-${randomUUID().slice(0, 13)}@example.com`;
}

export interface Account {
  email: string;
  password: string;
  name: string;
}

/** Creates an account. */
export async function signUp(name: string): Promise<Account> {
  const account = { email: newEmail(name), password: `the secret of ${name}`, name };
  const answer = await rest.users().post('/users').send(account);
  if (answer.status !== 201) throw new Error(`POST /users answered ${answer.status} ${answer.text}`);
  return account;
}

/** Sends a message. */
export function sendMessage(
  sender: string,
  receiver: string,
  content = 'hello',
): Promise<SendMessageResponse> {
  return grpc.messages.SendMessage({
    message: { sender_email: sender, receiver_email: receiver, content },
  });
}

/** Follows a list of messages from page to page, to its end. */
export async function getMessagePages(request: GetMessagesRequest): Promise<Message[][]> {
  const pages: Message[][] = [];
  let page_token = '';
  do {
    const reply = await grpc.messages.GetMessages({ ...request, page_token });
    pages.push(reply.messages);
    page_token = reply.next_page_token ?? '';
  } while (page_token !== '');
  return pages;
}
