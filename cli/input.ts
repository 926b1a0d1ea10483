import { text as readAll } from 'node:stream/consumers';
import { read } from 'read';
import { CommandError, exitCodes } from './errors.js';

/** Reads what is piped in. @throws {CommandError} when nothing is. */
export async function readPiped(what: string): Promise<string> {
  if (process.stdin.isTTY)
    throw new CommandError(`${what} is missing: give it, or pipe it in`, exitCodes.misused);
  return readAll(process.stdin);
}

/** Reads a password: from a person, who does not see it, or else the first line of what is piped in. */
export async function readPassword(): Promise<string> {
  if (process.stdin.isTTY) return read({ prompt: 'Password: ', silent: true });
  return (await readPiped('The password')).split(/\r?\n/, 1)[0] ?? '';
}
