import type { Parent, Run } from '../command.js';
import { readPassword } from '../input.js';
import { oneLine } from '../output.js';
import { newContext } from '../suite-clients.js';

/** Adds `users add`, `users list` and `users rm`. */
export function addUsersCommands(parent: Parent, run: Run): void {
  const users = parent.command('users').description('the accounts');

  users
    .command('add')
    .description('create an account; its password is asked for, or piped in, or in SUITE_PASSWORD')
    .argument('<email>')
    .requiredOption('--name <name>', 'what the user is called')
    .action(async (email, { name }) =>
      run(async (suite, output) => {
        const password = await readPassword();
        await (await suite.userService()).createUser({ email, name, password }, newContext());
        output.say(`${oneLine(email)} is a user now`, { email, name });
      }),
    );

  users
    .command('list')
    .description('list the accounts, in the order of their emails')
    .action(async () =>
      run(async (suite, output) => {
        for await (const user of (await suite.userService()).listUsers(newContext)) {
          output.say(`${oneLine(user.email)}  ${oneLine(user.name)}`, user);
        }
      }),
    );

  users
    .command('rm')
    .description('delete an account; what it wrote and was told stays')
    .argument('<email>')
    .action(async (email) =>
      run(async (suite, output) => {
        await (await suite.userService()).deleteUser(email, newContext());
        output.say(`${oneLine(email)} is no user any more`, { email });
      }),
    );
}
