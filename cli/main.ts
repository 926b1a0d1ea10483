import { Command, CommanderError } from '@commander-js/extra-typings';
import type { Run } from './command.js';
import { addDeadLettersCommands } from './commands/dead-letters.js';
import { addInboxCommand } from './commands/inbox.js';
import { addSendCommand } from './commands/send.js';
import { addStatusCommand } from './commands/status.js';
import { addUsersCommands } from './commands/users.js';
import { describeFailure, exitCodes } from './errors.js';
import { Output } from './output.js';
import { SuiteClients } from './suite-clients.js';

const HELP = `
Exit codes: 0 done, 1 refused or something is wrong, 2 not understood, 3 something can not be reached.

The suite is looked for on this machine, on its usual ports. What moves it for npm start moves it here: HOST,
USER_SERVICE_REST_PORT and the like, REDIS_HOST, REDIS_PORT and how Redis lets one in (REDIS_USERNAME,
REDIS_PASSWORD, REDIS_TLS), in the environment or in .env.`;

const program: Command<[], { json?: true }> = new Command('suite')
  .description('looks after the messaging suite: its users, their messages, and what is stuck')
  .option('--json', 'say results as JSON, one document a line, and what is wrong as {"error"} on stderr')
  .addHelpText('after', HELP)
  .showHelpAfterError('(--help tells more)')
  .exitOverride();

const run: Run = async (work) => {
  const output = new Output(program.opts().json ?? false);
  let suite: SuiteClients | undefined;
  try {
    suite = new SuiteClients();
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

// Who reads no further, as `head` does, needs no more.
process.stdout.on('error', () => process.exit());

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // It has said what is wrong.
  process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.misused;
}
