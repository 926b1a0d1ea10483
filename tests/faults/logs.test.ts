import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../helpers/clients.js';
import { expectInvalidArgument, parseJson } from '../helpers/expectations.js';
import { type ProcessName, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

const line = z.looseObject({ level: z.string(), msg: z.string() });
const message = { sender_email: 'a@b.c', receiver_email: 'b@c.d', content: 'the content of a message' };

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start({
    processes: ['user_service_api', 'user_service_grpc', 'message_service_grpc'],
    environment: { LOG_LEVEL: 'info' },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

/** Waits for the line about the last of several requests, and gives all lines about requests since `earlier`. */
async function requestLines(
  name: ProcessName,
  isLast: (entry: z.output<typeof line>) => boolean,
  earlier = 0,
) {
  return waitFor(
    () => {
      const lines = suite.process(name).output.slice(earlier).split('\n').filter(Boolean);
      const requests = lines.map((text) => parseJson(line, text)).filter((entry) => 'method' in entry);
      return requests.some(isLast) && requests;
    },
    { what: `${name} has logged the request` },
  );
}

test('at info, a gRPC call that fails is one line, one that is answered is none, and no content is in it', async () => {
  await waitFor(async () => clients.grpc.messages.SendMessage({ message }).catch(() => undefined), {
    what: 'MessageService has connected to UserService',
  });
  const earlier = suite.process('message_service_grpc').output.length;
  await clients.grpc.messages.SendMessage({ message });
  await expectInvalidArgument(
    clients.grpc.messages.SendMessage({ message: { ...message, content: message.content.repeat(10_000) } }),
    /content/,
  );
  const lines = await requestLines('message_service_grpc', ({ msg }) => msg === 'failed', earlier);
  expect(lines).toMatchObject([
    {
      level: 'info',
      msg: 'failed',
      method: '/message_service.MessageService/SendMessage',
      requestId: expect.stringMatching(/\S/),
    },
  ]);
  expect(suite.process('message_service_grpc').output).not.toContain(message.content);
});

test('at info, a REST request that fails is one line, one that is answered is none, and no password is in it', async () => {
  const earlier = suite.process('user_service_api').output.length;
  const account = { email: 'dora@example.com', password: 'the password of Dora', name: 'Dora' };
  await clients.rest.users().post('/users').send(account).expect(201);
  await clients.rest.users().get('/users').expect(200);
  await clients.rest.users().post('/users').send(account).expect(400);
  const lines = await requestLines(
    'user_service_api',
    ({ statusCode, path }) => statusCode === 400 && path === '/users',
    earlier,
  );
  expect(lines).toMatchObject([{ level: 'info', method: 'POST', path: '/users', statusCode: 400 }]);
  expect(suite.process('user_service_api').output).not.toContain(account.password);
});
