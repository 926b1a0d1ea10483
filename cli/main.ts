import { Command, CommanderError } from '@commander-js/extra-typings';
import type { Run } from './command.js';
import { addDeadLettersCommands } from './commands/dead-letters.js';
import { addInboxCommand } from './commands/inbox.js';
import { addSendCommand } from './commands/send.js';
import { addStatusCommand } from './commands/status.js';
import { addUsersCommands } from './commands/users.js';
import { describeFailure, exitCodes } from './errors.js';
import { oneLine, Output } from './output.js';
import { SuiteClients } from './suite-clients.js';

const HELP = `
Exit codes: 0 done, 1 refused or something is wrong, 2 not understood, 3 something can not be reached.

The suite is looked for on this machine, on its usual ports. What moves it for npm start moves it here: HOST,
USER_SERVICE_REST_PORT and the like, REDIS_HOST, REDIS_PORT and how Redis lets one in (REDIS_USERNAME,
REDIS_PASSWORD, REDIS_TLS), or REDIS_URL, or REDIS_SENTINELS and REDIS_MASTER_NAME, in the environment or in .env. Where each
service has a Redis of its own, what is asked of Redis is of the one that is named. Where the suite asks callers who they are, SERVICE_KEYS_FOLDER or
SERVICE_KEY names the operator's key. Where it speaks TLS, TLS_FOLDER, or TLS_CERT, TLS_KEY and TLS_CA name the operator's
certificate.`;

const program: Command<[], { json?: true }> = new Command('suite')
  .description('looks after the messaging suite: its users, their messages, and what is stuck')
  .option('--json', 'say results as JSON, one document a line, and what is wrong as {"error"} on stderr')
  .addHelpText('after', HELP)
  .showHelpAfterError('(--help tells more)')
  // As JSON, what is wrong is said below, in place of commander's own words.
  .configureOutput({ writeErr: (text) => isJson() || process.stderr.write(text) })
  .exitOverride();

/** Commander knows before it finds anything wrong: it reads the options for all commands first. */
function isJson(): boolean {
  return program.opts().json ?? false;
}

const run: Run = async (work) => {
  const output = new Output(isJson());
  let suite: SuiteClients | undefined;
  try {
    suite = new SuiteClients();
    await suite.identify();
    process.exitCode = (await work(suite, output)) ?? exitCodes.done;
  } catch (error) {
    const { message, exitCode } = describeFailure(error);
    output.fail(message);
    process.exitCode = exitCode;
  } finally {
    suite?.stop();
  }
};

addUsersCommands(program, run);
addSendCommand(program, run);
addInboxCommand(program, run);
addStatusCommand(program, run);
addDeadLettersCommands(program, run);

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Who reads no further, as `head` does, needs no more.
  if (error.code === 'EPIPE') process.exit();
  new Output(isJson()).fail(`the result could not be written (${error.message})`);
  process.exit(exitCodes.refused);
});
// Where nobody can be told what is wrong, the exit code still does.
process.stderr.on('error', () => {});

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.misused;
  if (isJson() && error.exitCode !== 0) new Output(true).fail(describeMisuse(error));
}

/** Says as a failure what commander says to people. */
function describeMisuse({ code, message }: CommanderError): string {
  return code === 'commander.help' ? 'a command is missing' : oneLine(message.replace(/^error: /, ''));
}
