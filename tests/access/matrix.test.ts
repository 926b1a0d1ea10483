import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import type { ProtoGrpcType as FrontendProto } from '@messaging/proto_definitions/frontend';
import type { ProtoGrpcType as MessageProto } from '@messaging/proto_definitions/message';
import type { ProtoGrpcType as NotificationProto } from '@messaging/proto_definitions/notification';
import type { ProtoGrpcType as UserProto } from '@messaging/proto_definitions/user';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { decodeJwt, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';
import { apiDescription } from '../helpers/api-description.js';
import { Suite, type ProcessName } from '../helpers/suite.js';
import { newKey, TestKeys } from '../helpers/tokens.js';
import { waitFor } from '../helpers/wait-for.js';

const services = ['user_service', 'message_service', 'notification_service', 'frontend_service'] as const;
type Service = (typeof services)[number];

/** Has no account, so that a call that is let in changes nothing. */
const owner = 'ghost@example.com';

/** Who may: anyone, or those named. The operator may do all. */
type Who = 'anyone' | readonly ('owner' | Service)[];

/** What is called, as `owner` where it is somebody's. */
interface GrpcCase {
  who: Who;
  request?: object;
}
interface RestCase {
  who: Who;
  path?: string;
  body?: object;
}

const mine = { email: owner };
const myMail = { user_email: owner };
const left = { ...mine, departure_id: '1', tenure: '0' };
const moved = { ...left, to_email: 'spirit@example.com' };

const grpcCases: Record<string, GrpcCase> = {
  'user_service.UserService/AuthenticateUser': { who: 'anyone' },
  'user_service.UserService/RefreshToken': { who: 'anyone' },
  'user_service.UserService/LogOut': { who: 'anyone' },
  'user_service.UserService/CheckUserExists': { who: ['owner', 'message_service'], request: mine },
  'user_service.UserService/CheckUsersExist': { who: ['message_service'] },
  'user_service.UserService/CheckUsersExistStream': { who: ['message_service'] },
  'user_service.UserService/ListUsers': { who: [] },
  'user_service.UserService/ListUsersPage': { who: [] },
  'user_service.UserService/GetUser': { who: ['owner'], request: mine },
  'message_service.MessageService/SendMessage': {
    who: ['owner'],
    request: { message: { sender_email: owner, receiver_email: owner, content: 'x' } },
  },
  'message_service.MessageService/GetMessages': { who: ['owner', 'user_service'], request: myMail },
  'message_service.MessageService/ListConversations': { who: ['owner', 'user_service'], request: myMail },
  'message_service.MessageService/MoveMailbox': { who: ['user_service'], request: moved },
  'message_service.MessageService/EraseMailbox': { who: ['user_service'], request: left },
  'message_service.MessageService/MarkConversationRead': {
    who: ['owner'],
    request: { ...myMail, with_email: 'x@example.com' },
  },
  'message_service.MessageService/DeleteMessage': { who: ['owner'], request: { ...myMail, message_id: '1' } },
  'notification_service.NotificationService/CreateNotification': {
    who: ['message_service'],
    request: { receiver_email: owner },
  },
  'notification_service.NotificationService/CreateNotifications': { who: ['message_service'] },
  'notification_service.NotificationService/CreateNotificationsStream': { who: ['message_service'] },
  'notification_service.NotificationService/ListNotifications': {
    who: ['owner', 'user_service', 'frontend_service'],
    request: mine,
  },
  'notification_service.NotificationService/MarkNotificationsRead': { who: ['owner'], request: mine },
  'notification_service.NotificationService/DeleteNotifications': { who: ['owner'], request: mine },
  'notification_service.NotificationService/CountUnread': { who: ['owner'], request: mine },
  'notification_service.NotificationService/CheckUserSubscribed': {
    who: ['owner', 'user_service'],
    request: mine,
  },
  'notification_service.NotificationService/SubscribeUser': { who: ['owner', 'user_service'], request: mine },
  'notification_service.NotificationService/UnsubscribeUser': { who: ['owner'], request: mine },
  'notification_service.NotificationService/MoveNotifications': { who: ['user_service'], request: moved },
  'notification_service.NotificationService/EraseNotifications': { who: ['user_service'], request: left },
  'frontend_service.FrontendService/ReceiveNotification': {
    who: ['notification_service'],
    request: { receiver_email: owner },
  },
  'frontend_service.FrontendService/ReceiveNotifications': { who: ['notification_service'] },
  'frontend_service.FrontendService/ReceiveNotificationsStream': { who: ['notification_service'] },
  'frontend_service.FrontendService/WatchNotifications': {
    who: ['owner', 'frontend_service'],
    request: mine,
  },
  'frontend_service.FrontendService/EndWatches': { who: ['notification_service'], request: mine },
};

const ofProcess = {
  'GET /': { who: 'anyone' },
  'GET /healthz': { who: 'anyone' },
  'GET /readyz': { who: 'anyone' },
  'GET /openapi.json': { who: 'anyone' },
  'GET /metrics': { who: [] },
} satisfies Record<string, RestCase>;

const query = `email=${owner}`;

const restCases: Record<Exclude<Service, 'frontend_service'>, Record<string, RestCase>> = {
  user_service: {
    ...ofProcess,
    'POST /users': { who: 'anyone' },
    'POST /login': { who: 'anyone' },
    'POST /sessions': { who: 'anyone' },
    'POST /token': { who: 'anyone' },
    'POST /logout': { who: 'anyone' },
    'GET /.well-known/jwks.json': { who: 'anyone' },
    'GET /ended_sessions': { who: ['message_service', 'notification_service', 'frontend_service'] },
    'GET /users': { who: [] },
    'GET /users/{email}': { who: ['owner'], path: `/users/${owner}` },
    'GET /users/{email}/export': { who: ['owner'], path: `/users/${owner}/export` },
    'PUT /users/{email}': { who: ['owner'], path: `/users/${owner}`, body: { name: 'Ghost' } },
    'DELETE /users/{email}': { who: ['owner'], path: `/users/${owner}` },
    'PUT /users/email': { who: ['owner'], body: { email: owner, data: { name: 'Ghost' } } },
    'DELETE /users/email': { who: ['owner'], body: mine },
  },
  message_service: {
    ...ofProcess,
    'GET /list_conversations': { who: ['owner'], path: `/list_conversations?${query}` },
    'POST /messages': {
      who: ['owner'],
      body: { sender_email: owner, receiver_email: owner, content: 'x' },
    },
    'GET /messages': { who: ['owner'], path: `/messages?user_${query}` },
    'DELETE /messages/{message_id}': { who: ['owner'], path: `/messages/1?user_${query}` },
    'GET /conversations': { who: ['owner'], path: `/conversations?user_${query}` },
    'POST /conversations/read': { who: ['owner'], body: { ...myMail, with_email: 'x@example.com' } },
  },
  notification_service: {
    ...ofProcess,
    'GET /list_notifications': { who: ['owner'], path: `/list_notifications?${query}` },
    'GET /notifications': { who: ['owner'], path: `/notifications?${query}` },
    'DELETE /notifications': { who: ['owner'], path: `/notifications?${query}` },
    'DELETE /notifications/{id}': { who: ['owner'], path: `/notifications/1?${query}` },
    'POST /notifications/read': { who: ['owner'], body: mine },
    'GET /notifications/unread_count': { who: ['owner'], path: `/notifications/unread_count?${query}` },
    'GET /subscriptions/{email}': { who: ['owner'], path: `/subscriptions/${owner}` },
    'PUT /subscriptions/{email}': {
      who: ['owner'],
      path: `/subscriptions/${owner}`,
      body: { subscribed: true },
    },
  },
};

const definitions: Record<string, ServiceDefinition> = {
  'user_service.UserService': loadProto<UserProto>('user.proto').user_service.UserService.service,
  'message_service.MessageService':
    loadProto<MessageProto>('message.proto').message_service.MessageService.service,
  'notification_service.NotificationService':
    loadProto<NotificationProto>('notification.proto').notification_service.NotificationService.service,
  'frontend_service.FrontendService':
    loadProto<FrontendProto>('frontend.proto').frontend_service.FrontendService.service,
};

/** What came of a call, however it was made. */
type Outcome = 'let in' | 'unauthenticated' | 'forbidden';

/** What shows nobody that there is anybody, with what is wrong about it. */
const strangers = [
  'nothing',
  'no token at all',
  'no bearer',
  'expired',
  'of another key',
  'alg none',
  'signed with the public key as a secret',
  'of a session that was ended',
  'for somebody else to read',
  'of another issuer',
  'of another kind',
  'a service for another service',
  'a service with the key of another',
  'a service that has expired',
] as const;

let keys: TestKeys;
let suite: Suite;
let clients: Record<Service, Client>;
/** The header by which each shows who it is, at each service. */
let headers: (who: string, at: Service) => Promise<string | undefined>;

const bearer = async (token: string | Promise<string>) => `Bearer ${await token}`;

const session = z.object({ token: z.string(), refresh_token: z.string() });

async function post(path: string, body: object): Promise<unknown> {
  const answer = await fetch(`http://${suite.addresses.user_service_api}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok, await answer.clone().text()).toBe(true);
  return answer.status === 204 ? undefined : answer.json();
}

beforeAll(async () => {
  keys = await TestKeys.make();
  suite = await Suite.start({
    serviceKeysFolder: keys.servicesFolder,
    environment: { TOKEN_KEYS_FILE: keys.tokenKeysFile },
  });
  clients = {
    user_service: open('user_service_grpc'),
    message_service: open('message_service_grpc'),
    notification_service: open('notification_service_grpc'),
    frontend_service: open('frontend_service_grpc'),
  };
  await suite.waitUntilReady();

  const account = { email: 'alice@example.com', password: 'wonderland', name: 'Alice' };
  await post('/users', account);
  const going = session.parse(await post('/login', account));
  const ended = session.parse(await post('/login', account));
  await post('/logout', { refresh_token: ended.refresh_token });
  const sid = String(decodeJwt(going.token)['sid']);
  const endedSid = String(decodeJwt(ended.token)['sid']);

  const unknown = await newKey('tests');
  const past = Math.floor(Date.now() / 1_000) - 60;
  headers = async (who, at) => {
    const elsewhere = services.find((name) => name !== at) ?? at;
    switch (who) {
      case 'nothing':
        return undefined;
      case 'no token at all':
        return 'Bearer x.y.z';
      case 'no bearer':
        return `Basic ${btoa('ghost@example.com:password')}`;
      case 'owner':
        return bearer(keys.userToken(owner, sid));
      case 'another user':
        return bearer(going.token);
      case 'expired':
        return bearer(keys.userToken(owner, sid, { exp: past }));
      case 'of another key':
        return bearer(keys.userToken(owner, sid, {}, unknown));
      case 'alg none': {
        const token = await keys.userToken(owner, sid);
        const header = Buffer.from('{"alg":"none","typ":"at+jwt","kid":"tests"}').toString('base64url');
        return bearer(`${header}.${token.split('.')[1]}.`);
      }
      case 'signed with the public key as a secret': {
        const claims = decodeJwt(await keys.userToken(owner, sid));
        return bearer(
          new SignJWT(claims)
            .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: 'tests' })
            .sign(Buffer.from(String(keys.tokenKey.x), 'base64url')),
        );
      }
      case 'of a session that was ended':
        return bearer(keys.userToken(owner, endedSid));
      case 'for somebody else to read':
        return bearer(keys.userToken(owner, sid, { aud: 'another_suite' }));
      case 'of another issuer':
        return bearer(keys.userToken(owner, sid, { iss: 'message_service' }));
      case 'of another kind':
        return bearer(keys.userToken(owner, sid, {}, keys.tokenKey, 'JWT'));
      case 'a service for another service':
        return bearer(keys.serviceToken('operator', elsewhere));
      case 'a service with the key of another':
        return bearer(keys.serviceToken('frontend_service', at, { iss: 'operator' }));
      case 'a service that has expired':
        return bearer(keys.serviceToken('operator', at, { exp: past }));
      default:
        return bearer(keys.serviceToken(who, at));
    }
  };
  // Elsewhere it is known within five seconds that a session was ended.
  for (const at of ['message_service', 'notification_service', 'frontend_service'] as const) {
    const method = grpcMethods().find(
      ({ service, requestStream, responseStream, name }) =>
        service === at && !requestStream && !responseStream && asksWho(name).includes('owner'),
    );
    if (method === undefined) continue;
    await waitFor(async () => (await callGrpc(method, 'of a session that was ended')) === 'unauthenticated', {
      what: `${at} knows that a session was ended`,
    });
  }
  await waitFor(
    async () =>
      (await callGrpc(
        grpcMethods().find(({ name }) => name.endsWith('/WatchNotifications')) ?? fail(),
        'of a session that was ended',
      )) === 'unauthenticated',
    { what: 'FrontendService knows that a session was ended' },
  );
});

afterAll(async () => {
  for (const client of Object.values(clients)) client.close();
  await suite.stop();
  await rm(keys.folder, { recursive: true });
});

function fail(): never {
  throw new Error('There is no such method');
}

function open(name: ProcessName): Client {
  return new Client(suite.addresses[name], credentials.createInsecure());
}

/** A method of a gRPC door, as its proto has it. */
interface GrpcMethod extends Pick<
  MethodDefinition<object, object>,
  'path' | 'requestStream' | 'responseStream' | 'requestSerialize' | 'responseDeserialize'
> {
  service: Service;
  name: string;
}

function grpcMethods(): GrpcMethod[] {
  return Object.entries(definitions).flatMap(([fullName, definition]) =>
    Object.entries(definition).map(([method, described]) => ({
      ...described,
      service: z.enum(services).parse(fullName.split('.')[0]),
      name: `${fullName}/${method}`,
    })),
  );
}

function asksWho(name: string): Who {
  return grpcCases[name]?.who ?? 'anyone';
}

async function callGrpc(method: GrpcMethod, who: string): Promise<Outcome> {
  const metadata = new Metadata();
  const authorization = await headers(who, method.service);
  if (authorization !== undefined) metadata.set('authorization', authorization);
  // A watch that is let in goes on without an end.
  const options = { deadline: Date.now() + (method.responseStream && !method.requestStream ? 700 : 10_000) };
  const request = grpcCases[method.name]?.request ?? {};
  const { path, requestSerialize, responseDeserialize, service } = method;
  const client = clients[service];
  const code = await new Promise<status>((resolve) => {
    if (!method.responseStream) {
      client
        .makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, () => {})
        .on('status', (outcome) => resolve(outcome.code));
      return;
    }
    const listen = (call: ClientReadableStream<object> | ClientDuplexStream<object, object>) => {
      call.on('data', () => {});
      call.on('error', () => {});
      call.on('status', (outcome: { code: status }) => resolve(outcome.code));
    };
    if (method.requestStream) {
      const call = client.makeBidiStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        metadata,
        options,
      );
      listen(call);
      call.end();
    } else {
      listen(
        client.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          options,
        ),
      );
    }
  });
  if (code === status.UNAUTHENTICATED) {
    // Those that begin and end sessions say of no session that it has ended, and so looked at what they were asked.
    return /RefreshToken|LogOut/.test(method.name) ? 'let in' : 'unauthenticated';
  }
  if (code === status.PERMISSION_DENIED) return 'forbidden';
  expect([status.UNAVAILABLE, status.INTERNAL, status.UNIMPLEMENTED], status[code]).not.toContain(code);
  return 'let in';
}

async function callRest(
  service: Service,
  route: string,
  { who: may, path, body }: RestCase,
  who: string,
): Promise<Outcome> {
  const [method = '', template = ''] = route.split(' ');
  const authorization = await headers(who, service);
  const answer = await fetch(`http://${suite.addresses[`${service}_api`]}${path ?? template}`, {
    method,
    headers: {
      ...(authorization !== undefined && { Authorization: authorization }),
      ...(body && { 'Content-Type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.status, text).toBeLessThan(500);
  if (answer.status === 403) return 'forbidden';
  // An open route may say that what it was asked with is wrong.
  if (answer.status !== 401) return 'let in';
  // What an open route refuses is what it was asked with, not who asks.
  expect(answer.headers.get('www-authenticate'), text).toBe(may === 'anyone' ? null : 'Bearer');
  return 'unauthenticated';
}

const callers = ['owner', 'another user', 'operator', ...services] as const;

function describeWho(who: Who): string {
  return who === 'anyone' ? who : [...who, 'operator'].join(', ');
}

function expectedOf(who: Who, caller: string): Outcome {
  if (who === 'anyone' || caller === 'operator') return 'let in';
  return who.some((allowed) => allowed === caller) ? 'let in' : 'forbidden';
}

describe('gRPC', () => {
  const methods = grpcMethods();

  it('has a case here for every method', () => {
    expect(Object.keys(grpcCases).toSorted()).toEqual(methods.map(({ name }) => name).toSorted());
  });

  it.each(methods)('$name lets in whom it should, and nobody else', async (method) => {
    const who = asksWho(method.name);
    const outcomes = new Map<string, Outcome>();
    const expected = new Map<string, Outcome>();
    for (const stranger of strangers) expected.set(stranger, who === 'anyone' ? 'let in' : 'unauthenticated');
    for (const caller of callers) expected.set(caller, expectedOf(who, caller));
    await Promise.all(
      [...expected.keys()].map(async (caller) => outcomes.set(caller, await callGrpc(method, caller))),
    );
    expect(Object.fromEntries(outcomes)).toEqual(Object.fromEntries(expected));
  });
});

describe.each(['user_service', 'message_service', 'notification_service'] as const)(
  'REST of %s',
  (service) => {
    const routes = Object.entries(restCases[service]).map(([route, described]) => ({ route, described }));

    it('has a case here for every route', async () => {
      const answer = await fetch(`http://${suite.addresses[`${service}_api`]}/openapi.json`);
      const { paths } = apiDescription.parse(await answer.json());
      const all = Object.entries(paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      );
      expect(routes.map(({ route }) => route).toSorted()).toEqual(all.toSorted());
    });

    it.each(routes)('$route lets in whom it should, and nobody else', async ({ route, described }) => {
      const { who } = described;
      const expected = new Map<string, Outcome>();
      for (const stranger of strangers)
        expected.set(stranger, who === 'anyone' ? 'let in' : 'unauthenticated');
      for (const caller of callers) expected.set(caller, expectedOf(who, caller));
      const outcomes = new Map<string, Outcome>();
      for (const caller of expected.keys()) {
        outcomes.set(caller, await callRest(service, route, described, caller));
      }
      expect(Object.fromEntries(outcomes)).toEqual(Object.fromEntries(expected));
    });
  },
);

it('docs/access.md says who may call what', async () => {
  const text = await readFile(join(ROOT_FOLDER, 'docs/access.md'), 'utf8');
  const rows = text
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter(([, name]) => name?.startsWith('`'))
    .map(([, name = '', who = '']) => `${name.replaceAll('`', '')}: ${who}`);
  const cases = [
    ...Object.entries(grpcCases).map(([name, { who }]) => `${name.split('.')[1]}: ${describeWho(who)}`),
    ...Object.values(restCases).flatMap((routes) =>
      Object.entries(routes).map(([route, { who }]) => `${route}: ${describeWho(who)}`),
    ),
  ];
  expect([...new Set(rows)].toSorted()).toEqual([...new Set(cases)].toSorted());
});
