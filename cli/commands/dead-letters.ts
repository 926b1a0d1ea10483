import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import type { DeadLetter, RedisClient } from '../clients/redis.js';
import type { Parent, Run } from '../command.js';
import { CommandError } from '../errors.js';
import { type OutboxName, outboxes } from '../outboxes.js';

/** Adds `dead-letters list` and `dead-letters replay`. They need nothing but Redis. */
export function addDeadLettersCommands(parent: Parent, run: Run): void {
  const letters = parent
    .command('dead-letters')
    .description('deliveries that were given up, as their receiver refused them again and again');

  letters
    .command('list')
    .description('list them, each with why; never what is in them')
    .addOption(streamOption())
    .option('--id <id>', 'only the one with this id', readId)
    .action(async ({ stream, id }) =>
      run(async (suite, output) => {
        const found = await findAll(await suite.redis(), stream, id);
        for (const letter of found) output.say(`${letter.stream}  ${letter.id}  ${letter.reason}`, letter);
        output.note(count(found.length));
      }),
    );

  letters
    .command('replay')
    .description('put them back into their outboxes, to be delivered again')
    .addOption(streamOption())
    .option('--id <id>', 'only the one with this id', readId)
    .action(async ({ stream, id }) =>
      run(async (suite, output) => {
        const redis = await suite.redis();
        // All are found before the first is replayed: one that dies again meanwhile is not taken up again.
        const found = await findAll(redis, stream, id);
        let replayed = 0;
        for (const letter of found) {
          const outcome = await redis.replay(letter);
          if (outcome === 'replayed') replayed++;
          if (outcome === 'unreadable') {
            output.warn(`${letter.stream} ${letter.id} stays: it has no entry that could be delivered`);
          }
        }
        output.say(`${count(replayed)} replayed: they are delivered within seconds, or come back here`, {
          replayed,
        });
      }),
    );
}

function streamOption() {
  return new Option('--stream <name>', 'only those of this outbox').choices<readonly OutboxName[]>(
    outboxes.map(({ stream }) => stream),
  );
}

function readId(text: string): string {
  if (/^\d{1,20}-\d{1,20}$/.test(text)) return text;
  throw new InvalidArgumentError('It is an id as list prints it, such as 1700000000000-0.');
}

async function findAll(
  redis: RedisClient,
  stream: OutboxName | undefined,
  id: string | undefined,
): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  for (const outbox of outboxes) {
    if (stream === undefined || stream === outbox.stream) {
      found.push(...(await redis.findDeadLetters(outbox.stream, id)));
    }
  }
  if (id !== undefined && found.length === 0) throw new CommandError(`there is no dead letter ${id}`);
  return found;
}

function count(letters: number): string {
  return letters === 1 ? '1 dead letter' : `${letters} dead letters`;
}
