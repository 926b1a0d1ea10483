import type { Parent, Run } from '../command.js';
import { readPiped } from '../input.js';
import { newContext } from '../suite-clients.js';

/** Adds `send`. */
export function addSendCommand(parent: Parent, run: Run): void {
  parent
    .command('send')
    .description('send a message from one user to another')
    .requiredOption('--from <email>', 'who sends it')
    .requiredOption('--to <email>', 'who is to get it')
    .option(
      '--idempotency-key <key>',
      'a repeat with the same key is answered as the first was, and sent once',
    )
    .argument('[text...]', 'the message; piped in where it is left out, or -')
    .action(async (words, { from, to, idempotencyKey }) =>
      run(async (suite, output) => {
        const isPiped = words.length === 0 || (words.length === 1 && words[0] === '-');
        const content = isPiped ? (await readPiped('The message')).replace(/\r?\n$/, '') : words.join(' ');
        const messages = await suite.messageService();
        const id = await messages.sendMessage(
          { sender: from, receiver: to, content, idempotencyKey },
          newContext(),
        );
        output.say(`message ${id} is sent`, { message_id: id });
      }),
    );
}
