import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { type CliOptions, CliProcess, runCli } from '../helpers/cli.js';
import { grpc, newEmail, rest, sendMessage, signUp } from '../helpers/clients.js';
import { findFreePort } from '../helpers/free-ports.js';

const target = { addresses: inject('addresses'), redis: inject('redis') };
const run = (args: string[], options?: CliOptions) => runCli(target, args, options);
const readDocuments = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
const sent = z.object({ message_id: z.string() });

test('a user is added with a password that is piped in, listed, and removed', async () => {
  const email = newEmail('cli');
  const added = await run(['users', 'add', email, '--name', 'Clio'], { input: 'open sesame\nand more' });
  expect(added).toEqual({ code: 0, stdout: `${email} is a user now\n`, stderr: '' });
  expect(await grpc.users.AuthenticateUser({ email, password: 'open sesame' })).toMatchObject({
    success: true,
  });

  const again = await run(['users', 'add', email, '--name', 'Clio'], { input: 'open sesame' });
  expect(again).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^suite: .*registered.*\n$/),
  });

  const { stdout } = await run(['users', 'list']);
  expect(stdout.split('\n')).toContain(`${email}  Clio`);
  expect(await run(['users', 'rm', email])).toMatchObject({ code: 0 });
  expect((await rest.users().get(`/users/${email}`)).status).toBe(404);
  expect(await run(['users', 'rm', email])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/no user/),
  });
});

test('a password comes from the environment, and none is refused', async () => {
  const email = newEmail('cli');
  const without = await run(['users', 'add', email, '--name', 'Clio']);
  expect(without).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/password is required/),
  });
  const environment = { SUITE_PASSWORD: 'from the environment' };
  expect(await run(['users', 'add', email, '--name', 'Clio'], { environment })).toMatchObject({ code: 0 });
  expect(await grpc.users.AuthenticateUser({ email, password: 'from the environment' })).toMatchObject({
    success: true,
  });
});

test('results are JSON where that is asked for, and so is what is wrong', async () => {
  const user = { email: newEmail('json'), name: 'Jason' };
  const environment = { SUITE_PASSWORD: 'secret' };
  const add = ['users', 'add', user.email, '--name', user.name, '--json'];
  expect(readDocuments((await run(add, { environment })).stdout)).toEqual([user]);
  expect(readDocuments((await run(['--json', 'users', 'list'])).stdout)).toContainEqual(user);
  const { code, stdout, stderr } = await run(add, { environment });
  expect([code, stdout, JSON.parse(stderr)]).toEqual([1, '', { error: expect.stringMatching(/registered/) }]);
});

test('nothing that others chose does more to a terminal than write a line', async () => {
  const [alice, bob] = [await signUp('alice'), await signUp('bob')];
  const name = 'Mallory\u001B[2J\u0007\nadmin@example.com  Root\u202E';
  const email = newEmail('mallory');
  expect((await rest.users().post('/users').send({ email, password: 'secret', name })).status).toBe(201);
  const { stdout } = await run(['users', 'list']);
  expect(stdout.split('\n')).toContain(`${email}  Mallory [2J admin@example.com  Root`);
  await grpc.notifications.CreateNotification({
    sender_email: alice.email.replace('@', '\u001B[31m@'),
    receiver_email: bob.email,
  });
  const inbox = await run(['inbox', bob.email]);
  expect(inbox.stdout.trimEnd()).not.toMatch(/\p{Cc}/u);
  expect(inbox.stdout).toContain('[31m@');
});

test('JSON holds the same text, and does no more to a terminal', async () => {
  const user = { email: newEmail('mallory'), name: 'M\u009B31m\u0085\u202E\u{E0041}\u001B[2J' };
  const created = await rest
    .users()
    .post('/users')
    .send({ ...user, password: 'secret' });
  expect(created.status).toBe(201);
  const { stdout } = await run(['users', 'list', '--json']);
  expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(readDocuments(stdout)).toContainEqual(user);
});

test('what is no service of the suite answers in vain: one line says so', async () => {
  const stranger = createServer((_request, response) => response.end('\u001B[31m<html>\u0007'));
  const port = await findFreePort();
  await once(stranger.listen(port, '127.0.0.1'), 'listening');
  const environment = { USER_SERVICE_REST_PORT: String(port) };
  const { code, stdout, stderr } = await run(['users', 'list'], { environment });
  stranger.close();
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^suite: \P{Cc}+\n$/u);
});

test('a message is sent from words or from what is piped in, and once for each key', async () => {
  const [alice, bob] = [await signUp('alice'), await signUp('bob')];
  const send = ['send', '--from', alice.email, '--to', bob.email];
  expect(await run([...send, 'Hello,', 'Bob!'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^message \d+ is sent\n$/),
  });
  expect(await run(send, { input: 'two\nlines\n' })).toMatchObject({ code: 0 });
  expect(await run([...send, '-'], { input: 'by a dash' })).toMatchObject({ code: 0 });
  const keyed = [...send, '--idempotency-key', 'cli-1', '--json', 'once'];
  const [first, second] = [await run(keyed), await run(keyed)];
  expect(sent.parse(JSON.parse(second.stdout))).toEqual(sent.parse(JSON.parse(first.stdout)));

  const { messages } = await grpc.messages.GetMessages({ user_email: bob.email });
  expect(messages.map(({ content }) => content)).toEqual(['Hello, Bob!', 'two\nlines', 'by a dash', 'once']);

  const nobody = await run(['send', '--from', alice.email, '--to', newEmail('nobody'), 'hello']);
  expect(nobody).toEqual({ code: 1, stdout: '', stderr: 'suite: Receiver does not exist\n' });
  expect(await run(send)).toMatchObject({ code: 1, stderr: expect.stringMatching(/empty/) });
});

test('the inbox shows the latest notifications, the newest last', async () => {
  const [alice, bob] = [await signUp('alice'), await signUp('bob')];
  for (const content of ['one', 'two', 'three']) await sendMessage(alice.email, bob.email, content);
  await expect.poll(async () => (await run(['inbox', bob.email])).stdout.split('\n').length).toBe(4);
  await grpc.notifications.MarkNotificationsRead({ email: bob.email, ids: ['2'] });

  const { stdout } = await run(['inbox', bob.email]);
  const line = `\\S+Z  ${alice.email} wrote message \\d+`;
  expect(stdout).toMatch(new RegExp(`^${line}  \\(unread\\)\n${line}\n${line}  \\(unread\\)\n$`));
  const unread = readDocuments((await run(['inbox', bob.email, '--unread', '--json'])).stdout);
  expect(unread).toEqual([
    expect.objectContaining({ id: '1', read: false, sender_email: alice.email }),
    expect.objectContaining({ id: '3', read: false }),
  ]);
  expect(readDocuments((await run(['inbox', bob.email, '--count', '1', '--json'])).stdout)).toEqual([
    expect.objectContaining({ id: '3' }),
  ]);
  expect(await run(['inbox', newEmail('nobody')])).toEqual({ code: 0, stdout: '', stderr: '' });
});

test.each([
  [['users'], /Usage: suite users/],
  [['users', 'add', 'a@example.com'], /required option '--name <name>'/],
  [['users', 'add', '--name', 'A'], /missing required argument 'email'/],
  [['send', '--from', 'a@example.com', 'hello'], /required option '--to <email>'/],
  [['inbox', 'a@example.com', '--count', '501'], /whole number from 1 to 500/],
  [['status', '--stuck-after', 'soon'], /whole number of seconds/],
  [['conquer'], /unknown command 'conquer'/],
  [[], /Usage: suite/],
])('%j is not understood', async (args, reason) => {
  const { code, stdout, stderr } = await run(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(reason);
});

test.each([
  [['--json'], 'a command is missing'],
  [['users', '--json'], 'a command is missing'],
  [['conquer', '--json'], "unknown command 'conquer'"],
  [['--json', 'users', 'add', 'a@example.com'], "required option '--name <name>' not specified"],
])('%j is not understood, which is said as JSON', async (args, error) => {
  const { code, stdout, stderr } = await run(args);
  expect({ code, stdout, stderr: JSON.parse(stderr) as unknown }).toEqual({
    code: 2,
    stdout: '',
    stderr: { error },
  });
});

test.each([[['--help']], [['help', 'users']], [['inbox', '--help']], [['dead-letters', 'replay', '--help']]])(
  '%j helps',
  async (args) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: suite/);
  },
);

test('a service that is away is named, and has an exit code of its own', async () => {
  const port = String(await findFreePort());
  const environment = { USER_SERVICE_REST_PORT: port, MESSAGE_SERVICE_GRPC_PORT: port };
  const users = await run(['users', 'list'], { environment });
  expect(users).toMatchObject({ code: 3, stdout: '' });
  expect(users.stderr).toMatch(new RegExp(`^suite: UserService at 127.0.0.1:${port} is not available.*\n$`));
  const send = await run(['send', '--from', 'a@example.com', '--to', 'b@example.com', 'hi'], { environment });
  expect(send).toMatchObject({
    code: 3,
    stdout: '',
    stderr: expect.stringMatching(/^suite: MessageService/),
  });
  const wrong = await run(['users', 'list'], { environment: { USER_SERVICE_REST_PORT: 'eighty' } });
  expect(wrong).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/USER_SERVICE_REST_PORT is "eighty"/),
  });
});

test('a reader that reads no further does not make it fail', async () => {
  const listing = new CliProcess(target, ['users', 'list']);
  listing.closeOutput();
  expect(await listing.exitCode).toBe(0);
  expect(listing.stderr).toBe('');
});

test('a result that can not be written is not taken for one', async () => {
  const { code, stderr } = await run(['users', 'list'], { outputFile: '/dev/full' });
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^suite: .*ENOSPC.*\n$/) });
});

test('the exit code tells what is wrong where nobody reads the words', async () => {
  const environment = { USER_SERVICE_REST_PORT: String(await findFreePort()) };
  const listing = new CliProcess(target, ['users', 'list'], { environment });
  listing.closeErrors();
  expect(await listing.exitCode).toBe(3);
});
