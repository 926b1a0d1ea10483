import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { grpc, newEmail, rest } from '../helpers/clients.js';
import { findOnPath } from '../helpers/programs.js';
import { Terminal } from '../helpers/terminal.js';
import { waitFor } from '../helpers/wait-for.js';

const target = { addresses: inject('addresses'), redis: inject('redis') };
const ENTER = '\r';
const CTRL_C = '\u0003';
const CTRL_D = '\u0004';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'suite-terminal-'));
});

afterAll(() => rm(folder, { recursive: true }));

async function answerPrompt(line: string, keys: string) {
  const terminal = new Terminal(target, line);
  await waitFor(() => terminal.screen.includes('Password:'), { what: 'the password is asked for' });
  terminal.type(keys);
  return { code: await terminal.exitCode, screen: terminal.screen };
}

describe.skipIf(findOnPath(['script']) === undefined)('at a terminal', () => {
  test('a password is asked for, and not shown', async () => {
    const email = newEmail('terminal');
    const { code, screen } = await answerPrompt(`users add ${email} --name Tess`, `hunter2${ENTER}`);
    expect(code).toBe(0);
    expect(screen).toBe(`Password: \r\n${email} is a user now\r\n`);
    expect(await grpc.users.AuthenticateUser({ email, password: 'hunter2' })).toMatchObject({
      success: true,
    });
  });

  test('a password is not shown either while stdout leads elsewhere, where the result goes alone', async () => {
    const email = newEmail('terminal');
    const file = join(folder, 'result.json');
    const line = `users add ${email} --name Tess --json > '${file}'`;
    const { code, screen } = await answerPrompt(line, `hunter2${ENTER}`);
    expect({ code, screen }).toEqual({ code: 0, screen: 'Password: \r\n' });
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ email, name: 'Tess' });
  });

  test.each([
    ['Ctrl-C', CTRL_C],
    ['Ctrl-D', CTRL_D],
  ])('%s in place of a password adds nobody', async (_name, keys) => {
    const email = newEmail('terminal');
    const { code, screen } = await answerPrompt(`users add ${email} --name Tess`, keys);
    expect({ code, screen }).toEqual({
      code: 1,
      screen: 'Password: \r\nsuite: no password was given\r\n',
    });
    expect((await rest.users().get(`/users/${email}`)).status).toBe(404);
  });
});
