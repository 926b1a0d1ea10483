import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { runCli } from '../helpers/cli.js';
import { connect } from '../helpers/clients.js';
import { expectSoon } from '../helpers/expectations.js';
import { Suite } from '../helpers/suite.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start();
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

const document = z.object({
  ok: z.boolean(),
  processes: z.array(z.looseObject({ name: z.string(), state: z.string() })),
  redis: z.looseObject({
    failure: z.string().optional(),
    outboxes: z.array(z.looseObject({ stream: z.string(), entries: z.number(), dead_letters: z.number() })),
  }),
  problems: z.array(z.string()),
});

async function readStatus(...args: string[]) {
  const { code, stdout } = await runCli(suite, ['status', '--json', ...args]);
  const status = document.parse(JSON.parse(stdout));
  expect(code).toBe(status.ok ? 0 : 1);
  return status;
}

const readProblems = async (...args: string[]) => (await readStatus(...args)).problems.join('\n');

test('all is well', async () => {
  // The REST doors find their peers within seconds of the start.
  await expectSoon(readProblems).toBe('');
  const { code, stdout, stderr } = await runCli(suite, ['status']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/\nAll is well\.\n$/);
  for (const [name, address] of Object.entries(suite.addresses)) {
    expect(stdout).toMatch(new RegExp(`^${name} +${address} +serving$`, 'm'));
  }
  expect(stdout).toMatch(/^outbox:notify +MessageService +NotificationService +0 +- +0$/m);
});

test('a process that is down is named, and what waits for it, and it is well again after that', async () => {
  const frontend = suite.process('frontend_service_grpc');
  frontend.kill('SIGKILL');
  await frontend.exited;
  await clients.grpc.notifications.CreateNotification({
    sender_email: 'alice@example.com',
    receiver_email: 'bob@example.com',
  });
  await expectSoon(() => readProblems('--stuck-after', '0')).toMatch(
    /^frontend_service_grpc is unreachable\noutbox:push is stuck: 1 of what NotificationService has for FrontendService wait, for \d+ s so far$/m,
  );
  expect(await readProblems('--stuck-after', '999999')).not.toContain('stuck');

  await frontend.restart();
  await suite.waitUntilReady();
  await expectSoon(readProblems).toBe('');
});

test('dead letters are a problem until they are gone', async () => {
  const { redis, close } = connect(suite.addresses, suite.redis);
  await redis(0).xadd('outbox:subscribe:dead', '*', 'reason', 'refused');
  const { code, stdout } = await runCli(suite, ['status']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^outbox:subscribe +UserService +NotificationService +0 +- +1$/m);
  expect(stdout).toMatch(/^! outbox:subscribe has given up 1: .*dead-letters list/m);
  await redis(0).del('outbox:subscribe:dead');
  close();
  await expectSoon(readProblems).toBe('');
});

test('a Redis that is down is named by itself and by those that need it', async () => {
  await suite.redis.kill();
  await expectSoon(readProblems).toMatch(/message_service_grpc is not serving/);
  const { processes, redis, problems } = await readStatus();
  expect(redis.failure).toMatch(/^Redis at \S+ does not answer/);
  expect(redis.outboxes).toEqual([]);
  expect(problems).toContainEqual(
    expect.stringMatching(/^message_service_api is not serving: it can not reach redis$/),
  );
  expect(processes.find(({ name }) => name === 'frontend_service_api')?.state).toBe('serving');
  await suite.redis.start();
  await expectSoon(readProblems).toBe('');
});
