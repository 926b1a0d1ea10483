import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProtoGrpcType as FrontendProto } from '@messaging/proto_definitions/frontend';
import type { ProtoGrpcType as MessageProto } from '@messaging/proto_definitions/message';
import type { ProtoGrpcType as NotificationProto } from '@messaging/proto_definitions/notification';
import type { ProtoGrpcType as UserProto } from '@messaging/proto_definitions/user';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { expect, it } from 'vitest';
import { ROOT_FOLDER, suiteProcesses } from '../../scripts/dist/suite.js';
import { bufCurl } from '../helpers/buf.js';
import { addresses } from '../helpers/clients.js';

const COMMAND = /^grpcurl -plaintext (?:-d '([^']+)' )?localhost:(\d+) (\S+)$/gm;

const commands = [...readFileSync(join(ROOT_FOLDER, 'docs/grpc.md'), 'utf8').matchAll(COMMAND)].map(
  ([, data = '{}', port, method = '']) => ({ data, port: Number(port), method }),
);

it('has an example for every method that takes one request', () => {
  const methods = [
    ...Object.values(loadProto<UserProto>('user.proto').user_service.UserService.service),
    ...Object.values(loadProto<MessageProto>('message.proto').message_service.MessageService.service),
    ...Object.values(
      loadProto<NotificationProto>('notification.proto').notification_service.NotificationService.service,
    ),
    ...Object.values(loadProto<FrontendProto>('frontend.proto').frontend_service.FrontendService.service),
  ].filter(({ requestStream }) => !requestStream);
  expect(commands.map(({ method }) => `/${method}`)).toEqual(methods.map(({ path }) => path));
});

// A watch does not end: what it brings is tested elsewhere.
it.each(commands.filter(({ method }) => !method.endsWith('/WatchNotifications')))(
  'has an example of $method that is well understood',
  async ({ data, port, method }) => {
    const door = suiteProcesses.find((process) => process.port === port);
    if (!door) throw new Error(`Nothing listens on ${port}`);
    const answered = bufCurl(`${addresses[door.name]}/${method}`, { data: JSON.parse(data) }).catch(String);
    // Alice and Bob need not be there, and no session is that of the example.
    const isOfSession = /RefreshToken|LogOut/.test(method);
    const understood = isOfSession ? /"code": "unauthenticated"/ : /^\{|"code": "not_found"/;
    expect(await answered).toMatch(understood);
  },
);
