import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/user';
import type { UserServiceHandlers } from '@messaging/proto_definitions/user_service/UserService';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { createLogger } from '@messaging/service_kit/log';
import { afterEach, expect, test } from 'vitest';
import { UserGateway } from '../../message_service/dist/clients/user-gateway.js';

const { UserService } = loadProto<ProtoGrpcType>('user.proto').user_service;
const context = { deadline: Infinity };
const everyone = ['alice@example.com', 'bob@example.com', 'nobody@example.com', ''];
const tenureOf = (email: string) => (email === 'alice@example.com' ? '7' : '');
const exists = (email: string) => email.startsWith('alice') || email.startsWith('bob');
const existenceOf = (email: string) => ({ exists: exists(email), tenure: tenureOf(email) });

let server: Server;
let gateway: UserGateway;

afterEach(() => {
  gateway.peer.stop();
  server.forceShutdown();
});

/** A UserService, and what it was asked; it tells of so many addresses at the most. */
async function serveUsers(toldAtMost: number): Promise<string[][]> {
  const asked: string[][] = [];
  const answer = (emails: string[] = []) => {
    asked.push(emails);
    const told = emails.slice(0, toldAtMost);
    return { exists: told.map(exists), tenures: { numbers: told.map(tenureOf) } };
  };
  const handlers: Pick<UserServiceHandlers, 'CheckUsersExist' | 'CheckUsersExistStream'> = {
    CheckUsersExist: ({ request }, callback) => callback(null, answer(request.emails)),
    CheckUsersExistStream: (call) => {
      call.on('data', ({ number, request }) => call.write({ number, response: answer(request?.emails) }));
    },
  };
  const { CheckUsersExist, CheckUsersExistStream } = UserService.service;
  server = new Server();
  server.addService({ CheckUsersExist, CheckUsersExistStream }, handlers);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const logger = await createLogger('tests', 'silent', 'json');
  gateway = new UserGateway(`127.0.0.1:${port}`, 5_000, logger);
  return asked;
}

test('of many messages at once, each address is asked about once, and each is told of its own parties', async () => {
  const asked = await serveUsers(Infinity);
  const pairs = everyone.flatMap((sender) => everyone.map((receiver) => [sender, receiver] as const));
  const found = await Promise.all(
    pairs.map(async ([sender, receiver]) => gateway.findParties(sender, receiver, context)),
  );
  expect(found).toEqual(pairs.map(([sender, receiver]) => [existenceOf(sender), existenceOf(receiver)]));
  expect(asked).toEqual([everyone]);
});

test('a UserService that does not tell of all is believed in nothing', async () => {
  await serveUsers(1);
  await expect(gateway.findParties('alice@example.com', 'bob@example.com', context)).rejects.toThrow(
    'UserService did not tell of each address',
  );
});
