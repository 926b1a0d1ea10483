import {
  type requestCallback,
  Server,
  ServerCredentials,
  type ServiceError as GrpcError,
  status,
} from '@grpc/grpc-js';
import type { ProtoGrpcType as MessageProto } from '@messaging/proto_definitions/message';
import type { MessageServiceHandlers } from '@messaging/proto_definitions/message_service/MessageService';
import type { SendMessageResponse__Output } from '@messaging/proto_definitions/message_service/SendMessageResponse';
import type { ProtoGrpcType as UserProto } from '@messaging/proto_definitions/user';
import type { CheckUserExistsResponse__Output } from '@messaging/proto_definitions/user_service/CheckUserExistsResponse';
import type { CheckUsersExistResponse__Output } from '@messaging/proto_definitions/user_service/CheckUsersExistResponse';
import type { UserServiceHandlers } from '@messaging/proto_definitions/user_service/UserService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { createLogger } from '@messaging/service_kit/log';
import { afterEach, expect, test } from 'vitest';

const { UserService } = loadProto<UserProto>('user.proto').user_service;
const { MessageService } = loadProto<MessageProto>('message.proto').message_service;
const logger = await createLogger('tests', 'silent', 'json');
const context = { deadline: Infinity };
const MAX_ATTEMPTS = 4;

let server: Server;
let peer: { stop: () => void };

afterEach(() => {
  peer.stop();
  server.forceShutdown();
});

async function listen(): Promise<string> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return `127.0.0.1:${port}`;
}

/** A UserService whose first calls fail with `code`. */
async function serveUsers(failures: number, code: status) {
  const attempts = { unary: 0, batch: 0, stream: 0 };
  const failure: Partial<GrpcError> = { code, details: 'lost on the way' };
  const handlers: Pick<UserServiceHandlers, 'CheckUserExists' | 'CheckUsersExist' | 'CheckUsersExistStream'> =
    {
      CheckUserExists: (_call, callback) =>
        attempts.unary++ < failures ? callback(failure) : callback(null, { exists: true }),
      CheckUsersExist: (_call, callback) => {
        attempts.batch++;
        callback(null, { exists: [true] });
      },
      CheckUsersExistStream: (call) => {
        call.once('data', () => {
          attempts.stream++;
          call.emit('error', failure);
        });
      },
    };
  const { CheckUserExists, CheckUsersExist, CheckUsersExistStream } = UserService.service;
  server = new Server();
  server.addService({ CheckUserExists, CheckUsersExist, CheckUsersExistStream }, handlers);
  const users = new Peer('UserService', await listen(), 5_000, logger, UserService);
  peer = users;
  const ask = async () =>
    users.call<CheckUserExistsResponse__Output>(context, (options, callback) =>
      users.client.CheckUserExists({ email: 'a@example.com' }, options, callback),
    );
  const askInABatch = users.coalesce({
    path: CheckUsersExist.path,
    request: (emails: string[]) => ({ emails }),
    unary: (request, options, callback: requestCallback<CheckUsersExistResponse__Output>) =>
      users.client.CheckUsersExist(request, options, callback),
    stream: (options) => users.client.CheckUsersExistStream(options),
    results: ({ exists }) => exists.map((found) => ({ found })),
  });
  return { attempts, ask, askInABatch };
}

test('a call that may be made twice is made again where it was lost', async () => {
  const { attempts, ask } = await serveUsers(MAX_ATTEMPTS - 1, status.UNAVAILABLE);
  expect(await ask()).toMatchObject({ exists: true });
  expect(attempts.unary).toBe(MAX_ATTEMPTS);
});

test('it is not made more often than four times', async () => {
  const { attempts, ask } = await serveUsers(Infinity, status.UNAVAILABLE);
  await expect(ask()).rejects.toMatchObject({ kind: 'unavailable' });
  expect(attempts.unary).toBe(MAX_ATTEMPTS);
});

test('what failed in another way is not asked again', async () => {
  const { attempts, ask } = await serveUsers(Infinity, status.INTERNAL);
  await expect(ask()).rejects.toMatchObject({ kind: 'internal' });
  expect(attempts.unary).toBe(1);
});

test('where all calls fail, none is made again after a while', async () => {
  const { attempts, ask } = await serveUsers(Infinity, status.UNAVAILABLE);
  while (attempts.unary < 30) await ask().catch(() => {});
  const before = attempts.unary;
  for (let count = 0; count < 10; count++) await expect(ask()).rejects.toMatchObject({ kind: 'unavailable' });
  expect(attempts.unary - before).toBe(10);
});

test('a batch that is lost with its stream is asked again', async () => {
  const { attempts, askInABatch } = await serveUsers(0, status.UNAVAILABLE);
  expect(await askInABatch('a@example.com', context)).toEqual({ found: true });
  expect(attempts).toMatchObject({ stream: 1, batch: 1 });
});

test('a batch that came too late on its stream is not', async () => {
  const { attempts, askInABatch } = await serveUsers(0, status.DEADLINE_EXCEEDED);
  await expect(askInABatch('a@example.com', context)).rejects.toMatchObject({ kind: 'tooSlow' });
  expect(attempts).toMatchObject({ stream: 1, batch: 0 });
});

test('a message is sent once, whatever becomes of the call', async () => {
  let attempts = 0;
  const handlers: Pick<MessageServiceHandlers, 'SendMessage'> = {
    SendMessage: (_call, callback) => {
      attempts++;
      callback({ code: status.UNAVAILABLE, details: 'lost on the way' });
    },
  };
  server = new Server();
  server.addService({ SendMessage: MessageService.service.SendMessage }, handlers);
  const messages = new Peer('MessageService', await listen(), 5_000, logger, MessageService);
  peer = messages;
  const sent = messages.call<SendMessageResponse__Output>(context, (options, callback) =>
    messages.client.SendMessage({ message: { content: 'hello' } }, options, callback),
  );
  await expect(sent).rejects.toMatchObject({ kind: 'unavailable' });
  expect(attempts).toBe(1);
});
