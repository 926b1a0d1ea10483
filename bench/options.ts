import { parseArgs } from 'node:util';
import { z } from 'zod';

/** Something that the person at the terminal can put right. Its message is all that is printed. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}

export const HELP = `npm run bench -- [options]

Starts the suite, the plain port and the floors on free ports, measures them in turn, prints Markdown tables, and
stops everything again. It needs h2load, wrk, redis-server and redis-benchmark, and Linux.

  --rounds N       how often each figure is measured; the median is reported (3)
  --seconds N      how long each measurement takes, about (5)
  --warm-up N      how many calls go first, one at a time and again under load, 10 s each at the most (20000)
  --filter NAME    measures only what has this in its name, such as SendMessage (not with --capacity)
  --json FILE      writes every single measurement
  --markdown FILE  writes the tables
  --growth         measures the same calls with small and large mailboxes, and with few and many users
  --largest N      with --growth: the messages in the largest mailbox (1000000)
  --users N        with --growth: the users where there are many (100000)
  --watchers       measures what 2000 idle watchers cost in memory, on a fresh suite each round
  --capacity       measures what a message, what is stored and a watcher cost, and what the model makes of it
  --into FILE      with --capacity: writes the tables to their places in FILE, such as docs/capacity.md
  --help           prints this
`;

const count = z.coerce.number().int().min(1);

const optionsSchema = z
  .object({
    rounds: count.default(3),
    seconds: count.default(5),
    'warm-up': count.default(20_000),
    filter: z.string().default(''),
    json: z.string().optional(),
    markdown: z.string().optional(),
    growth: z.boolean().default(false),
    largest: count.min(10_001).default(1_000_000),
    users: count.default(100_000),
    watchers: z.boolean().default(false),
    capacity: z.boolean().default(false),
    into: z.string().optional(),
    help: z.boolean().default(false),
  })
  .refine(({ growth, watchers, capacity }) => [growth, watchers, capacity].filter(Boolean).length <= 1, {
    message: 'only one of --growth, --watchers and --capacity at a time',
  })
  .refine(({ filter, capacity }) => filter === '' || !capacity, {
    path: ['filter'],
    message: 'not together with --capacity, whose model needs all of it',
  })
  .refine(({ into, capacity }) => into === undefined || capacity, {
    path: ['into'],
    message: 'only together with --capacity',
  });
export type Options = z.output<typeof optionsSchema>;

/** @throws {BenchError} for an option that is not there or can't be used. */
export function readOptions(args: string[]): Options {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    const { values } = parseArgs({
      args,
      options: {
        rounds: text,
        seconds: text,
        'warm-up': text,
        filter: text,
        json: text,
        markdown: text,
        growth: flag,
        largest: text,
        users: text,
        watchers: flag,
        capacity: flag,
        into: text,
        help: flag,
      },
    });
    return optionsSchema.parse(values);
  } catch (error) {
    const reasons =
      error instanceof z.ZodError
        ? error.issues.map(({ path, message }) =>
            path.length === 0 ? message : `--${path.join('.')}: ${message}`,
          )
        : [error instanceof Error ? error.message : String(error)];
    throw new BenchError(`${reasons.join('\n')}\n\n${HELP}`, { cause: error });
  }
}

/** What `--filter` leaves. @throws {BenchError} when that is nothing. */
export function chooseByName<Named extends { name: string }>(all: readonly Named[], filter: string): Named[] {
  const chosen = all.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  if (chosen.length > 0) return chosen;
  throw new BenchError(`--filter ${filter} fits none of: ${all.map(({ name }) => name).join('; ')}`);
}
