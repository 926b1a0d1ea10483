import { type Client, status } from '@grpc/grpc-js';
import { service as health } from 'grpc-health-check';
import type { Response, Test } from 'supertest';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isFrontendRestAbsent } from '../helpers/absent.js';
import { bufCurl, type Reflection } from '../helpers/buf.js';
import { addresses, channel, newEmail, redis, rest, signUp } from '../helpers/clients.js';
import type { ProcessName } from '../helpers/suite.js';
import { expectRefusal, parseJson } from '../helpers/expectations.js';

const BODY_LIMIT_BYTES = 100 * 1024;

/** With one route that reads a body. */
const restDoors = [
  {
    service: 'UserService',
    ask: rest.users,
    routes: [
      'POST /users',
      'PUT /users/email',
      'PUT /users/{email}',
      'DELETE /users/email',
      'DELETE /users/{email}',
      'GET /users/{email}',
      'GET /users',
      'POST /login',
    ],
    sendBody: () => rest.users().post('/users'),
  },
  {
    service: 'MessageService',
    ask: rest.messages,
    routes: [
      'POST /messages',
      'GET /messages',
      'DELETE /messages/{message_id}',
      'GET /conversations',
      'POST /conversations/read',
      'GET /list_conversations',
    ],
    sendBody: () => rest.messages().get('/list_conversations'),
  },
  {
    service: 'NotificationService',
    ask: rest.notifications,
    routes: [
      'GET /list_notifications',
      'GET /notifications',
      'POST /notifications/read',
      'DELETE /notifications',
      'DELETE /notifications/{id}',
      'GET /notifications/unread_count',
      'GET /subscriptions/{email}',
      'PUT /subscriptions/{email}',
    ],
    sendBody: () => rest.notifications().get('/list_notifications'),
  },
  {
    service: 'FrontendService',
    ask: rest.frontend,
    routes: [
      'POST /api/users',
      'POST /api/session',
      'GET /api/session',
      'DELETE /api/session',
      'GET /api/conversations',
      'GET /api/conversations/{email}/messages',
      'POST /api/conversations/{email}/messages',
      'POST /api/conversations/{email}/read',
      'GET /api/notifications',
      'POST /api/notifications/read',
      'GET /api/subscription',
      'PUT /api/subscription',
      'GET /api/events',
    ],
    sendBody: () => rest.frontend().post('/api/session'),
  },
];

/** A JSON object of exactly that size, without an email. */
function bodyOf(bytes: number): string {
  return JSON.stringify({ padding: 'x'.repeat(bytes - JSON.stringify({ padding: '' }).length) });
}

/** Has text sent as it is. */
function asJson(request: Test): Test {
  return request.set('Content-Type', 'application/json');
}

const readLines = (output: string) => output.trim().split('\n');

const expectJson = (response: Response) => {
  expect(response.status, response.text).toBe(200);
  expect(response.headers['content-type']).toMatch(/^application\/json\b/);
  expect(response.headers).not.toHaveProperty('x-powered-by');
};

for (const { service, ask, routes, sendBody } of restDoors) {
  describe.skipIf(service === 'FrontendService' && isFrontendRestAbsent)(
    `the REST door of ${service}`,
    () => {
      it('answers / with its name and its routes', async () => {
        const response = await ask().get('/');
        expectJson(response);
        expect(response.text).toContain(service);
        for (const route of routes) expect(response.text).toContain(JSON.stringify(route));
      });

      it.each(['/healthz', '/readyz'])('answers 200 to %s', async (path) => {
        expectJson(await ask().get(path));
      });

      it('answers 404 in JSON to an unknown route', async () => {
        expectRefusal(await ask().get('/nothing/here'), 404);
        expectRefusal(await ask().get('/%3Cscript%3E'), 404);
        expectRefusal(await ask().post('/').send({ email: 'alice@example.com' }), 404);
        expectRefusal(await ask().patch('/users').send({}), 404);
        expectRefusal(await ask().get('/__proto__'), 404);
      });

      it.each([
        ['application/problem+json'],
        ['application/problem+json, application/json;q=0.9'],
        ['text/html, application/problem+json'],
      ])('answers with a problem to who accepts %s', async (accepted) => {
        const unknown = await ask().get('/nothing/here').set('Accept', accepted);
        expect(unknown.headers['content-type']).toMatch(/^application\/problem\+json\b/);
        expect([unknown.status, JSON.parse(unknown.text)]).toStrictEqual([
          404,
          { title: 'Not Found', status: 404, detail: expect.stringContaining('/nothing/here') },
        ]);
        const malformed = await asJson(sendBody()).set('Accept', accepted).send('{');
        expect([malformed.status, JSON.parse(malformed.text)]).toStrictEqual([
          400,
          { title: 'Bad Request', status: 400, detail: 'The body is not valid JSON' },
        ]);
      });

      it.each(['*/*', 'application/*', 'application/json, application/problem+json', 'text/html'])(
        'answers as always to who accepts %s',
        async (accepted) => {
          expectRefusal(await ask().get('/nothing/here').set('Accept', accepted), 404);
        },
      );

      it('answers 400 in JSON to malformed JSON', async () => {
        for (const body of ['{', '{"email": }', "{'email': 'alice@example.com'}", 'alice', '\u0000']) {
          expectRefusal(await asJson(sendBody()).send(body), 400);
        }
      });

      it('answers 413 in JSON to a body over 100 KiB, and reads one of 100 KiB', async () => {
        expectRefusal(await asJson(sendBody()).send(bodyOf(BODY_LIMIT_BYTES)), 400, /email/);
        expectRefusal(await asJson(sendBody()).send(bodyOf(BODY_LIMIT_BYTES + 1)), 413);
        expectRefusal(await asJson(sendBody()).send(bodyOf(10 * BODY_LIMIT_BYTES)), 413);
      });

      it('answers 400 to an email of another type', async () => {
        for (const email of [1, true, null, ['alice@example.com'], { email: 'alice@example.com' }]) {
          expectRefusal(await sendBody().send({ email }), 400, /email/);
        }
      });

      it('answers 400 to keys of the prototype where an email is missing', async () => {
        for (const body of [
          '{"__proto__": {"email": "alice@example.com"}}',
          '{"constructor": {"prototype": {"email": "a@b.c"}}}',
        ]) {
          expectRefusal(await asJson(sendBody()).send(body), 400, /email/);
        }
        expectRefusal(await sendBody().send({}), 400, /email/);
      });
    },
  );
}

describe('UserService', () => {
  it('is not harmed by keys of the prototype', async () => {
    const email = newEmail('alice');
    const keys = '"__proto__": {"name": "Mallory"}, "constructor": {"prototype": {"name": "Mallory"}}';
    const create = asJson(rest.users().post('/users'));
    const created = await create.send(
      `{"email": "${email}", "password": "secret", "name": "Alice", ${keys}}`,
    );
    expect(created.status).toBe(201);
    for (const [body, message] of [
      [`{"name": "Alice", "__proto__": {"name": "Mallory"}}`, /__proto__/],
      [`{"name": "Alice", "constructor": {"name": "Mallory"}}`, /constructor/],
    ] as const) {
      const put = asJson(rest.users().put(`/users/${email}`));
      expectRefusal(await put.send(body), 400, message);
    }
    const stored = parseJson(z.unknown(), await redis(0).get(`users:${email}`));
    expect(stored).toStrictEqual({ email, name: 'Alice', password: expect.any(String) });
  });

  it.each(['__proto__', 'constructor', 'toString', '%00', '*'])('knows no user %s', async (name) => {
    expectRefusal(await rest.users().get(`/users/${name}`), 404);
    expectRefusal(await rest.users().delete(`/users/${name}`), 404);
  });

  it.each(['%', '%zz', '%E0%A4%A', 'alice%ff@example.com'])(
    'answers 400 to the path /users/%s',
    async (name) => {
      expectRefusal(await rest.users().get(`/users/${name}`), 400);
      expectRefusal(await rest.users().put(`/users/${name}`).send({ name: 'Alice' }), 400);
      expectRefusal(await rest.users().delete(`/users/${name}`), 400);
    },
  );
});

describe.each([
  ['/list_conversations', rest.messages],
  ['/list_notifications', rest.notifications],
] as const)('%s', (path, ask) => {
  it('answers 400 to an email that is given twice', async () => {
    expectRefusal(await ask().get(`${path}?email=a@example.com&email=b@example.com`), 400, /email/);
    expectRefusal(await ask().get(`${path}?email[$ne]=a@example.com`), 400, /email/);
  });
});

interface GrpcDoor {
  name: ProcessName;
  service: string;
  methods: string[];
  calls: { method: string; data: object; answer: unknown }[];
}

const grpcDoors: GrpcDoor[] = [
  {
    name: 'user_service_grpc',
    service: 'user_service.UserService',
    methods: ['AuthenticateUser', 'CheckUserExists', 'ListUsers', 'ListUsersPage'],
    calls: [
      {
        method: 'AuthenticateUser',
        data: { email: 'nobody@example.com', password: 'secret' },
        answer: { email: 'nobody@example.com', success: false },
      },
      // Takes google.protobuf.Empty: reflection has to know the import.
      { method: 'ListUsers', data: {}, answer: { users: expect.any(Array) } },
    ],
  },
  {
    name: 'message_service_grpc',
    service: 'message_service.MessageService',
    methods: ['SendMessage', 'GetMessages'],
    calls: [
      {
        method: 'SendMessage',
        data: { message: { sender_email: 'nobody@example.com', content: 'hello' } },
        answer: { success: false, message: 'Sender does not exist' },
      },
    ],
  },
  {
    name: 'notification_service_grpc',
    service: 'notification_service.NotificationService',
    methods: ['CreateNotification', 'CheckUserSubscribed', 'SubscribeUser', 'UnsubscribeUser'],
    calls: [
      { method: 'CheckUserSubscribed', data: { email: 'nobody@example.com' }, answer: { subscribed: true } },
    ],
  },
  {
    name: 'frontend_service_grpc',
    service: 'frontend_service.FrontendService',
    methods: ['ReceiveNotification'],
    calls: [
      {
        method: 'ReceiveNotification',
        data: { sender_email: 'nobody@example.com' },
        answer: { success: true },
      },
    ],
  },
];

// Lists have someone to list.
beforeAll(() => signUp('alice'));

describe.each(grpcDoors)('$name', ({ name, service, methods, calls }) => {
  describe('serves grpc.health.v1.Health', () => {
    it.each(['', service])('Check says SERVING for "%s"', async (asked) => {
      expect(await checkHealth(channel(name), asked)).toStrictEqual({ status: 'SERVING' });
    });

    it('Check says NOT_FOUND for an unknown name', async () => {
      const call = checkHealth(channel(name), 'no_service.NoService');
      await expect(call).rejects.toMatchObject({ code: status.NOT_FOUND });
    });

    it.each(['', service])('Watch says SERVING for "%s" at once', async (asked) => {
      expect(await watchHealth(channel(name), asked)).toStrictEqual({ status: 'SERVING' });
    });
  });

  describe.each<Reflection>(['grpc-v1', 'grpc-v1alpha'])('serves reflection %s', (reflection) => {
    const ask = (path: string, options: { data?: object; flags?: string[] }) =>
      bufCurl(`${addresses[name]}${path}`, { reflection, ...options });

    it('which lists the service and health', async () => {
      const services = readLines(await ask('', { flags: ['--list-services'] }));
      expect(services).toStrictEqual(expect.arrayContaining([service, 'grpc.health.v1.Health']));
    });

    it('which lists the methods', async () => {
      const listed = readLines(await ask('', { flags: ['--list-methods'] }));
      const expected = methods.map((method) => `${service}/${method}`);
      expect(listed).toStrictEqual(expect.arrayContaining(expected));
    });

    it.each(calls)('which is enough to call $method', async ({ method, data, answer }) => {
      expect(JSON.parse(await ask(`/${service}/${method}`, { data }))).toStrictEqual(answer);
    });
  });
});

const DEADLINE_MS = 20_000;

function checkHealth(client: Client, service: string): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = healthMethod('Check');
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service },
      { deadline: Date.now() + DEADLINE_MS },
      (error, reply) => (error ? reject(error) : resolve(reply)),
    );
  });
}

/** Resolves to the first status. */
function watchHealth(client: Client, service: string): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = healthMethod('Watch');
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    { service },
    { deadline: Date.now() + DEADLINE_MS },
  );
  return new Promise((resolve, reject) => {
    stream.once('data', resolve);
    // Cancelling ends the stream with an error, too: by then the first status is there.
    stream.on('error', reject);
    stream.once('data', () => stream.cancel());
  });
}

function healthMethod(name: 'Check' | 'Watch') {
  const method = health[name];
  if (!method) throw new Error(`grpc-health-check no longer defines ${name}`);
  return method;
}
