import { type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';
import { Suite } from '../helpers/suite.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start({
    processes: ['user_service_api', 'user_service_grpc'],
    processEnvironment: {
      user_service_grpc: { MAX_IN_FLIGHT: '3' },
      user_service_api: { BCRYPT_CONCURRENCY: '1', BCRYPT_QUEUE_LENGTH: '2' },
    },
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

test('calls beyond the bound are refused at once as RESOURCE_EXHAUSTED, and the others answered', async () => {
  const calls = Array.from({ length: 20 }, () =>
    clients.grpc.users.AuthenticateUser({ email: 'nobody@example.com', password: 'secret' }).then(
      ({ success }) => ({ success }),
      ({ code }: ServiceError) => ({ code }),
    ),
  );
  const answers = await Promise.all(calls);
  expect(answers.filter((answer) => 'success' in answer).length).toBeGreaterThanOrEqual(3);
  const refused = answers.filter((answer) => 'code' in answer);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.every((answer) => answer.code === status.RESOURCE_EXHAUSTED)).toBe(true);
});

test('sign-ups beyond the queue for hashing are a 429, and the others succeed', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      clients.rest
        .users()
        .post('/users')
        .send({ email: `user${index}@example.com`, password: 'secret', name: 'Somebody' }),
    ),
  );
  const refused = answers.filter((answer) => answer.status !== 201);
  expect(refused.length).toBeGreaterThan(0);
  expect(answers.length - refused.length).toBeGreaterThanOrEqual(3);
  for (const answer of refused) expectRefusal(answer, 429, /try again/);
  expect(await clients.redis(0).zcard('user_index')).toBe(answers.length - refused.length);
});
