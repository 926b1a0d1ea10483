import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { CommandError, exitCodes } from './errors.js';

/** Reads what is piped in. @throws {CommandError} when nothing is. */
export async function readPiped(what: string): Promise<string> {
  if (process.stdin.isTTY)
    throw new CommandError(`${what} is missing: give it, or pipe it in`, exitCodes.misused);
  return readAll(process.stdin);
}

/**
 * Reads a password: from SUITE_PASSWORD, else from a person, who does not see it, else the first line of what is piped in.
 *
 * @throws {CommandError} when the person gives none.
 */
export async function readPassword(): Promise<string> {
  const fromEnvironment = process.env['SUITE_PASSWORD'];
  if (fromEnvironment) return fromEnvironment;
  if (process.stdin.isTTY) return askSilently('Password: ');
  return (await readPiped('The password')).split(/\r?\n/, 1)[0] ?? '';
}

/** Asks on stderr, as stdout may lead elsewhere, and is for the result alone. */
async function askSilently(question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  // `terminal` keeps the terminal itself from showing what is typed.
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  process.stderr.write(question);
  try {
    return await new Promise((resolve, reject) => {
      lines.once('line', resolve);
      // By Ctrl-C or Ctrl-D; after a line it is too late to matter.
      lines.once('close', () => reject(new CommandError('no password was given')));
    });
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}
