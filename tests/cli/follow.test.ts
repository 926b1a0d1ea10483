import { afterAll, beforeAll, expect, test } from 'vitest';
import { CliProcess } from '../helpers/cli.js';
import { connect } from '../helpers/clients.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start({ processes: ['notification_service_grpc', 'frontend_service_grpc'] });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

function notify(receiver_email: string, sender_email: string) {
  return clients.grpc.notifications.CreateNotification({ receiver_email, sender_email });
}

test('an inbox that is followed shows each notification once, also across the death of FrontendService', async () => {
  await notify('bob@example.com', 'before@example.com');
  const inbox = new CliProcess(suite, ['inbox', 'bob@example.com', '--follow']);
  await inbox.waitForLines(1);
  await notify('bob@example.com', 'live@example.com');
  await notify('somebody.else@example.com', 'live@example.com');
  await inbox.waitForLines(2);

  const frontend = suite.process('frontend_service_grpc');
  frontend.kill('SIGKILL');
  await frontend.exited;
  await waitFor(() => inbox.stderr !== '', { what: 'it says that FrontendService is away' });
  await notify('bob@example.com', 'meanwhile@example.com');
  await frontend.restart();
  await inbox.waitForLines(3);
  await notify('bob@example.com', 'after@example.com');
  await inbox.waitForLines(4);

  expect(inbox.lines.map((line) => /(\w+)@example\.com/.exec(line)?.[1])).toEqual([
    'before',
    'live',
    'meanwhile',
    'after',
  ]);
  expect(inbox.stderr).toMatch(/^suite: FrontendService at \S+ is not available.*\n$/);
  inbox.kill('SIGINT');
  expect(await inbox.exitCode).toBe(0);
});

test('followed as JSON it is one document a line, and SIGTERM ends it', async () => {
  const inbox = new CliProcess(suite, ['inbox', 'carol@example.com', '--follow', '--json']);
  await waitFor(
    async () => {
      await notify('carol@example.com', 'dave@example.com');
      return inbox.lines.length > 0;
    },
    { what: 'it is followed' },
  );
  expect(JSON.parse(inbox.lines[0] ?? '')).toMatchObject({ id: '1', sender_email: 'dave@example.com' });
  inbox.kill('SIGTERM');
  expect(await inbox.exitCode).toBe(0);
});

test('Ctrl-C ends it well as soon as it has shown anything', async () => {
  await notify('dora@example.com', 'before@example.com');
  const inbox = new CliProcess(suite, ['inbox', 'dora@example.com', '--follow']);
  inbox.killOnOutput('SIGINT');
  expect(await inbox.exitCode).toBe(0);
  expect(inbox).toMatchObject({ lines: [expect.stringContaining('before@example.com')], stderr: '' });
});

test('FrontendService that stops in good order is waited for as well', async () => {
  await notify('erin@example.com', 'before@example.com');
  const inbox = new CliProcess(suite, ['inbox', 'erin@example.com', '--follow']);
  await inbox.waitForLines(1);
  await notify('erin@example.com', 'live@example.com');
  await inbox.waitForLines(2);
  const frontend = suite.process('frontend_service_grpc');
  frontend.kill('SIGTERM');
  await frontend.exited;
  await waitFor(() => inbox.stderr !== '', { what: 'it says that FrontendService is away' });
  await frontend.restart();
  await notify('erin@example.com', 'after@example.com');
  await inbox.waitForLines(3);
  expect(inbox.lines.map((line) => /(\w+)@example\.com/.exec(line)?.[1])).toEqual([
    'before',
    'live',
    'after',
  ]);
  inbox.kill('SIGINT');
  expect(await inbox.exitCode).toBe(0);
});
