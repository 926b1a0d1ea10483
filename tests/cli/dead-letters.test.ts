import { enqueueLua } from '@messaging/service_kit/redis/outbox';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../helpers/cli.js';
import { connect } from '../helpers/clients.js';
import { findFreePort } from '../helpers/free-ports.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start({
    // Without FrontendService: what is to be shown stays in its outbox.
    processes: ['message_service_grpc', 'notification_service_grpc', 'user_service_grpc', 'user_service_api'],
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

function deadLetters(args: string[], environment: Record<string, string> = {}) {
  return runCli(suite, ['dead-letters', ...args], { environment });
}

/** Plants a dead letter, and returns its id. */
async function plant(database: 0 | 1 | 2, stream: string, entry: unknown): Promise<string> {
  const fields = ['entry', JSON.stringify(entry), 'reason', 'it was\nrefused'];
  const id = await clients.redis(database).xadd(`${stream}:dead`, '*', ...fields);
  if (id === null) throw new Error('XADD made no entry');
  return id;
}

function notificationFor(receiver_email: string, message_id: string) {
  return { message_id, sender_email: 'sender@example.com', receiver_email };
}

function isNotified(email: string): Promise<boolean> {
  return clients
    .redis(2)
    .llen(`notifications:${email}`)
    .then((length) => length > 0);
}

test('a poison is listed without its content, and one that was put right is delivered', async () => {
  const poison = notificationFor('poison@example.com', 'x'.repeat(200));
  const enqueue = `${enqueueLua} return enqueue(KEYS[1], ARGV[1])`;
  await clients.redis(1).eval(enqueue, 1, 'outbox:notify', JSON.stringify(poison));
  const [poisonId] = await waitFor(
    async () => (await clients.redis(1).xrange('outbox:notify:dead', '-', '+'))[0],
    { what: 'the poison is a dead letter', timeoutMs: 60_000 },
  );
  const list = await deadLetters(['list']);
  expect(list).toMatchObject({ code: 0, stderr: '' });
  expect(list.stdout).toMatch(new RegExp(`^outbox:notify  ${poisonId}  \\S.*\n1 dead letter\n$`));
  expect(list.stdout).not.toContain('poison@example.com');
  expect(list.stdout).not.toContain('xxx');

  const goodId = await plant(1, 'outbox:notify', notificationFor('good@example.com', '1'));
  expect(await deadLetters(['list', '--stream', 'outbox:push'])).toMatchObject({
    stdout: '0 dead letters\n',
  });
  expect((await deadLetters(['list', '--id', goodId])).stdout).toBe(
    `outbox:notify  ${goodId}  it was refused\n1 dead letter\n`,
  );
  const replay = await deadLetters(['replay', '--stream', 'outbox:notify', '--id', goodId]);
  expect(replay).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 dead letter replayed/) });
  await waitFor(() => isNotified('good@example.com'), { what: 'its receiver is notified' });
  await waitFor(async () => (await clients.redis(1).xlen('outbox:notify')) === 0, {
    what: 'the outbox is empty',
  });

  const left = await clients.redis(1).xrange('outbox:notify:dead', '-', '+');
  expect(left.map(([id]) => id)).toEqual([poisonId]);
  expect(await deadLetters(['replay', '--id', goodId])).toEqual({
    code: 1,
    stdout: '',
    stderr: `suite: there is no dead letter ${goodId}\n`,
  });
  await clients.redis(1).del('outbox:notify:dead');
}, 90_000);

test('letters of all outboxes are replayed; two replays at once double and lose none', async () => {
  const receivers = Array.from({ length: 20 }, (_, index) => `receiver${index}@example.com`);
  for (const [index, receiver] of receivers.entries()) {
    await plant(1, 'outbox:notify', notificationFor(receiver, String(index + 100)));
    await plant(2, 'outbox:push', {
      ...notificationFor(receiver, ''),
      timestamp: '',
      read: false,
      id: `planted`,
    });
  }
  await plant(0, 'outbox:subscribe', { email: 'subscriber@example.com' });

  const replays = await Promise.all([deadLetters(['replay']), deadLetters(['replay'])]);
  expect(replays.map(({ code }) => code)).toEqual([0, 0]);
  const counts = replays.map(({ stdout }) => Number(/^(\d+) dead letters? replayed/.exec(stdout)?.[1]));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(41);

  await waitFor(async () => (await Promise.all(receivers.map(isNotified))).every(Boolean), {
    what: 'every receiver is notified',
  });
  await waitFor(
    async () => (await clients.redis(2).hexists('subscriptions', 'subscriber@example.com')) === 1,
    {
      what: 'the subscription is stored',
    },
  );
  for (const receiver of receivers) expect(await clients.redis(2).llen(`notifications:${receiver}`)).toBe(1);
  const pushes = await clients.redis(2).xrange('outbox:push', '-', '+');
  const replayed = pushes.filter(([, fields]) => fields[1]?.includes('"planted"'));
  expect(replayed).toHaveLength(receivers.length);
  expect(await deadLetters(['list'])).toEqual({ code: 0, stdout: '0 dead letters\n', stderr: '' });
});

test('a replayed letter is not passed over when others are enqueued right after it', async () => {
  const [one, two] = ['one@example.com', 'two@example.com'];
  for (const email of [one, two]) {
    await clients.rest.users().post('/users').send({ email, password: 'secret', name: 'Name' }).expect(201);
  }
  await plant(1, 'outbox:notify', notificationFor('amid@example.com', '200'));
  const end = new AbortController();
  const sending = (async () => {
    while (!end.signal.aborted) {
      const message = { sender_email: one, receiver_email: two, content: 'busy' };
      expect(await clients.grpc.messages.SendMessage({ message })).toMatchObject({ success: true });
    }
  })();
  try {
    expect(await deadLetters(['replay', '--stream', 'outbox:notify'])).toMatchObject({ code: 0 });
    await waitFor(() => isNotified('amid@example.com'), { what: 'its receiver is notified' });
  } finally {
    end.abort();
    await sending;
  }
});

test('letters are listed as JSON, and say nothing that a terminal would take for more than a line', async () => {
  const id = await plant(0, 'outbox:subscribe', { email: 'json@example.com' });
  const { stdout } = await deadLetters(['list', '--json']);
  expect(JSON.parse(stdout)).toEqual({ stream: 'outbox:subscribe', id, reason: 'it was refused' });
  const replay = await deadLetters(['replay', '--json']);
  expect(JSON.parse(replay.stdout)).toEqual({ replayed: 1 });
});

test('a letter that could not be delivered stays', async () => {
  const id = await clients.redis(0).xadd('outbox:subscribe:dead', '*', 'reason', 'it can not be read');
  const replay = await deadLetters(['replay']);
  expect(replay).toMatchObject({ code: 0, stdout: expect.stringMatching(/^0 dead letters replayed/) });
  expect(replay.stderr).toBe(
    `suite: outbox:subscribe ${id} stays: it has no entry that could be delivered\n`,
  );
  await clients.redis(0).del('outbox:subscribe:dead');
});

test.each([
  [['forget'], /unknown command 'forget'/],
  [['list', '--stream', 'outbox:mail'], /outbox:subscribe, outbox:notify, outbox:push/],
  [['replay', '--id', 'latest'], /an id as list prints it/],
  [['list', '--all'], /unknown option '--all'/],
])('%j is not understood', async (args, reason) => {
  const { code, stdout, stderr } = await deadLetters(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(reason);
});

test('a Redis that is away, and a setting that is wrong, are named in one line', async () => {
  const port = String(await findFreePort());
  const away = await deadLetters(['list'], { REDIS_PORT: port });
  expect(away).toMatchObject({ code: 3, stdout: '' });
  expect(away.stderr).toMatch(new RegExp(`^suite: Redis at 127.0.0.1:${port} .*ECONNREFUSED.*\n$`));
  const wrong = await deadLetters(['list'], { REDIS_PORT: 'six' });
  expect(wrong).toMatchObject({ code: 2, stdout: '' });
  expect(wrong.stderr).toMatch(/^suite: REDIS_PORT is "six": expected .*\n$/);
});
