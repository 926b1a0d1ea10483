import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { ConfigError, readEnvironment, variable } from '@messaging/service_kit/config';
import { isRedisUnavailable } from '@messaging/service_kit/redis/errors';
import { enqueueLua } from '@messaging/service_kit/redis/outbox';
import { defineScript, runScript } from '@messaging/service_kit/redis/script';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { ROOT_FOLDER } from './suite.js';

// Lists and replays the dead letters of every outbox: `npm run dead-letters -- list`. It needs nothing but Redis, so it
// works from the host for a suite in containers too: docker-compose.yml publishes Redis on port 6379. Another Redis
// is named by REDIS_HOST, REDIS_PORT and REDIS_PASSWORD, in the environment or in .env.

const USAGE = 'usage: npm run dead-letters -- list|replay [--stream outbox:notify] [--id 1700000000000-0]';

/** The database of each outbox. */
const outboxes: Record<string, number> = { 'outbox:subscribe': 0, 'outbox:notify': 1, 'outbox:push': 2 };

const TIMEOUT_MS = 5_000;
const PAGE_SIZE = 500;

/** A command that is not understood. Its message is one line, and the usage helps. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A command that could not be done. Its message is one line for the person at the terminal. */
class CommandError extends Error {
  override readonly name = 'CommandError';
}

interface Command {
  action: 'list' | 'replay';
  /** The outboxes to look at. */
  streams: string[];
  /** Only this letter; all unless told. */
  id: string | undefined;
}

interface DeadLetter {
  stream: string;
  id: string;
  reason: string;
}

function readCommand(args: string[]): Command {
  const { positionals, values } = parse(args);
  const [action, ...more] = positionals;
  if ((action !== 'list' && action !== 'replay') || more.length > 0) {
    throw new UsageError(`expected list or replay, not ${JSON.stringify(positionals.join(' '))}`);
  }
  const { stream, id } = values;
  if (stream !== undefined && !Object.hasOwn(outboxes, stream)) {
    throw new UsageError(`--stream is one of ${Object.keys(outboxes).join(', ')}`);
  }
  if (id !== undefined && !/^\d{1,20}-\d{1,20}$/.test(id)) {
    throw new UsageError('--id is an id as list prints it, such as 1700000000000-0');
  }
  return { action, streams: stream === undefined ? Object.keys(outboxes) : [stream], id };
}

function parse(args: string[]) {
  try {
    const options = { stream: { type: 'string' }, id: { type: 'string' } } as const;
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @throws {CommandError} when Redis is away, or does not let us in. */
async function connect(environment: NodeJS.ProcessEnv): Promise<Redis> {
  const { REDIS_HOST, REDIS_PORT, REDIS_PASSWORD } = readEnvironment(
    {
      REDIS_HOST: variable.host('127.0.0.1'),
      REDIS_PORT: variable.port(6379),
      REDIS_PASSWORD: variable.secret(),
    },
    environment,
  );
  const client = new Redis({
    host: REDIS_HOST,
    port: REDIS_PORT,
    ...(REDIS_PASSWORD === undefined ? {} : { password: REDIS_PASSWORD }),
    lazyConnect: true,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let cause: unknown;
  client.on('error', (error) => (cause ??= error));
  try {
    await client.connect();
    await client.ping();
    return client;
  } catch (error) {
    client.disconnect();
    throw new CommandError(
      `Redis at ${REDIS_HOST}:${REDIS_PORT} does not answer (${messageOf(cause ?? error)}): start it, or set REDIS_HOST, REDIS_PORT and REDIS_PASSWORD`,
    );
  }
}

async function run({ action, streams, id }: Command, client: Redis): Promise<void> {
  const found: DeadLetter[] = [];
  let replayed = 0;
  for (const stream of streams) {
    await client.select(outboxes[stream] ?? 0);
    // All are found before the first is replayed: one that dies again meanwhile is not taken up again.
    const letters = await findLetters(client, stream, id);
    found.push(...letters);
    if (action === 'list') for (const letter of letters) say(`${stream}  ${letter.id}  ${letter.reason}`);
    else for (const letter of letters) replayed += await replay(client, letter);
  }
  if (id !== undefined && found.length === 0) throw new CommandError(`there is no dead letter ${id}`);
  say(
    action === 'list'
      ? count(found.length)
      : `${count(replayed)} replayed: they are delivered within seconds, or come back here`,
  );
}

/** Finds dead letters, the oldest first. */
async function findLetters(client: Redis, stream: string, id: string | undefined): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  let start = id ?? '-';
  for (;;) {
    const page = await client.xrange(`${stream}:dead`, start, id ?? '+', 'COUNT', PAGE_SIZE);
    // The reason only: what an entry holds is nobody's business at a terminal.
    for (const [letterId, fields] of page) letters.push({ stream, id: letterId, reason: reasonOf(fields) });
    const last = letters.at(-1);
    if (page.length < PAGE_SIZE || !last) return letters;
    start = `(${last.id}`;
  }
}

function reasonOf(fields: string[]): string {
  const reason = fields.at(-2) === 'reason' ? fields.at(-1) : undefined;
  return oneLine(reason ?? 'unknown');
}

/** Puts a letter back into its stream, and resolves to 1; to 0 when another replay was faster. */
async function replay(client: Redis, { stream, id }: DeadLetter): Promise<number> {
  const result = await runScript(client, replayScript, [stream, `${stream}:dead`], [id]);
  if (result === 'unreadable') say(`${stream}  ${id}  stays: it has no entry that could be delivered`);
  return result === 'replayed' ? 1 : 0;
}

// Enqueued like every other entry, hence claimed at once: relays look at nothing else. That of any replica takes it up
// once the claim is idle.
const replayScript = defineScript(
  'replay',
  z.enum(['replayed', 'gone', 'unreadable']),
  `
  ${enqueueLua}
  local letter = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
  if not letter then return 'gone' end
  local fields = letter[2]
  if fields[1] ~= 'entry' then return 'unreadable' end
  -- All but the reason that it died of.
  enqueue(KEYS[1], unpack(fields, 2, fields[#fields - 1] == 'reason' and #fields - 2 or #fields))
  redis.call('XDEL', KEYS[2], ARGV[1])
  if redis.call('XLEN', KEYS[2]) == 0 then redis.call('DEL', KEYS[2]) end
  return 'replayed'
  `,
);

function count(letters: number): string {
  return letters === 1 ? '1 dead letter' : `${letters} dead letters`;
}

function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}

/** Nothing that a receiver answered may write more than its line on the terminal. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
  let client: Redis | undefined;
  try {
    const environmentFile = join(ROOT_FOLDER, '.env');
    if (existsSync(environmentFile)) process.loadEnvFile(environmentFile);
    const command = readCommand(process.argv.slice(2));
    client = await connect(process.env);
    await run(command, client);
  } catch (error) {
    process.exitCode = error instanceof UsageError ? 2 : 1;
    process.stderr.write(`npm run dead-letters: ${describe(error)}\n`);
    if (error instanceof UsageError) process.stderr.write(`${USAGE}\n`);
  } finally {
    client?.disconnect();
  }
}

function describe(error: unknown): string {
  const isForThePerson = [UsageError, CommandError, ConfigError].some((kind) => error instanceof kind);
  // What Redis refuses, or does not answer in time, is said in its own words.
  const isRedis = error instanceof Error && (error.name === 'ReplyError' || isRedisUnavailable(error));
  return isForThePerson || isRedis ? messageOf(error) : inspect(error);
}

await main();
