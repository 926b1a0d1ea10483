import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { ConfigError, readEnvironment, variable } from '@messaging/service_kit/config';
import { describeRedis } from '@messaging/service_kit/redis/connection';
import { loadCertificates, ownCertificates } from '@messaging/service_kit/tls/certificates';
import { createConcurrently, LogError, LogExit, Logger, LogOutput } from 'concurrently';
import getPort from 'get-port';
import { APPENDFSYNC_CHOICES, type Appendfsync, LocalRedis, RedisServerError } from './redis-server.js';
import {
  addressOf,
  entryFile,
  environmentOf,
  isHealthy,
  type Layout,
  loadEnvironmentFile,
  NODE_FLAGS,
  portVariableOf,
  readLayout,
  readOperatorTls,
  readRedisConfig,
  ROOT_FOLDER,
  suiteProcesses,
} from './suite.js';

const POLL_INTERVAL_MS = 100;
const REMINDER_INTERVAL_MS = 10_000;
/** As in the services: Ctrl-C under npm arrives twice within 50 ms, only a later second signal means "now". */
const SECOND_SIGNAL_AFTER_MS = 1_000;
const PREFIX_COLORS = {
  user_service: 'cyan',
  message_service: 'magenta',
  notification_service: 'yellow',
  frontend_service: 'green',
};

/** A start that failed. Its message is one line for the person at the terminal. */
class StartError extends Error {
  override readonly name = 'StartError';
}

/** What the person at the terminal asked for. */
interface Settings {
  layout: Layout;
  /** Where a Redis of our own keeps its data; undefined where a variable names another Redis. */
  redisFolder: string | undefined;
  appendfsync: Appendfsync;
}

function readSettings(environment: NodeJS.ProcessEnv): Settings {
  const layout = readLayout(environment);
  if (readRedisConfig(environment).database !== undefined) {
    throw new ConfigError(
      'REDIS_URL names a database, and all services would get the same one: leave the number behind the / out, and each takes its own',
    );
  }
  const { REDIS_APPENDFSYNC } = readEnvironment(
    { REDIS_APPENDFSYNC: variable.choice(APPENDFSYNC_CHOICES, 'always') },
    environment,
  );
  return {
    layout,
    // A folder for each port: two servers that write into the same one would destroy its data.
    redisFolder:
      environment['REDIS_HOST'] || layout.isRedisElsewhere
        ? undefined
        : resolve(ROOT_FOLDER, environment['DATA_FOLDER'] || '.data', `redis-${layout.redis.port}`),
    appendfsync: REDIS_APPENDFSYNC,
  };
}

async function checkPorts({ layout, redisFolder }: Settings): Promise<void> {
  for (const process of suiteProcesses) {
    const port = layout.ports[process.name];
    if (await isFree(port)) continue;
    throw new StartError(
      `port ${port} of ${process.name} is taken: stop what listens there, or set ${portVariableOf(process)} to another port`,
    );
  }
  const { port } = layout.redis;
  if (redisFolder === undefined || (await isFree(port))) return;
  throw new StartError(
    `port ${port} of Redis is taken, and a Redis that was not started here is only used where REDIS_HOST names it: set REDIS_HOST=127.0.0.1 to use that one, or REDIS_PORT=${port + 1} to start another there`,
  );
}

async function isFree(port: number): Promise<boolean> {
  return (await getPort({ port })) === port;
}

/** Runs the suite until `stop` is aborted; Redis is started first and stopped last. */
async function runSuite(settings: Settings, stop: AbortController): Promise<void> {
  await checkPorts(settings);
  stop.signal.throwIfAborted();
  const { layout, redisFolder, appendfsync } = settings;
  if (redisFolder === undefined) return runProcesses(layout, {}, stop);

  const redis = new LocalRedis(layout.redis.port, redisFolder, appendfsync);
  await redis.start(stop.signal);
  try {
    say(`redis-server listens on port ${layout.redis.port}; its data is in ${redisFolder}`);
    void redis.exited.then(
      () => stop.signal.aborted || say('redis-server has exited: the suite lacks it now'),
    );
    stop.signal.throwIfAborted();
    // Our own Redis asks nobody who he is: it listens to this machine alone.
    await runProcesses(layout, { REDIS_USERNAME: '', REDIS_PASSWORD: '', REDIS_TLS: '' }, stop);
  } finally {
    stop.abort();
    await redis.stop();
    say('redis-server has stopped');
  }
}

/** Runs the eight processes until `stop` is aborted, which they do themselves when one exits before all are up. */
async function runProcesses(
  layout: Layout,
  environment: Record<string, string>,
  stop: AbortController,
): Promise<void> {
  const logger = new Logger({});
  logger.setPrefixLength(Math.max(...suiteProcesses.map(({ name }) => name.length)));
  const { commands, result } = createConcurrently(
    suiteProcesses.map((suiteProcess) => ({
      name: suiteProcess.name,
      command: entryFile(suiteProcess),
      env: {
        LOG_FORMAT: process.env['LOG_FORMAT'] || 'pretty',
        ...environment,
        ...environmentOf(suiteProcess, layout),
      },
      prefixColor: PREFIX_COLORS[suiteProcess.service],
    })),
    {
      logger,
      outputStream: process.stdout,
      controllers: [new LogError({ logger }), new LogOutput({ logger }), new LogExit({ logger })],
      cwd: ROOT_FOLDER,
      // Without a shell in between, so that a signal reaches Node itself; the default way to kill needs `ps`.
      spawn: (file, options) => spawn(process.execPath, [...NODE_FLAGS, file], options),
      kill: sendSignal,
    },
  );
  say(`started ${commands.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')}`);
  const allExited = result.catch(() => {});
  const kill = (signal: NodeJS.Signals) => commands.forEach((command) => command.kill(signal));

  let isReady = false;
  for (const { name, close } of commands) {
    close.subscribe(({ exitCode }) => {
      if (!stop.signal.aborted && isReady)
        say(`${name} has exited (${exitCode}): the others go on without it`);
      else if (!stop.signal.aborted) {
        stop.abort(
          new StartError(`${name} exited (${exitCode}) before the suite was ready: its lines above say why`),
        );
      } else if (![0, 'SIGINT', 'SIGTERM'].includes(exitCode)) process.exitCode = 1;
    });
  }

  try {
    await waitUntilHealthy(layout, stop.signal);
    isReady = true;
    say(describeAddresses(layout));
    if (!stop.signal.aborted) await once(stop.signal, 'abort');
  } finally {
    kill('SIGTERM');
    const stoppingSince = Date.now();
    onStopSignal(() => Date.now() - stoppingSince >= SECOND_SIGNAL_AFTER_MS && kill('SIGKILL'));
    await allExited;
  }
}

async function waitUntilHealthy(layout: Layout, signal: AbortSignal): Promise<void> {
  const awaited = new Set(suiteProcesses);
  let remindAt = Date.now() + REMINDER_INTERVAL_MS;
  for (;;) {
    await Promise.all(
      [...awaited].map(async (process) => {
        if (await isHealthy(process, addressOf(process.name, layout))) awaited.delete(process);
      }),
    );
    signal.throwIfAborted();
    if (awaited.size === 0) return;
    if (Date.now() >= remindAt) {
      say(`still waiting for ${[...awaited].map(({ name }) => name).join(', ')}`);
      remindAt += REMINDER_INTERVAL_MS;
    }
    await sleep(POLL_INTERVAL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function describeAddresses(layout: Layout): string {
  const scheme = ownCertificates ? 'https' : 'http';
  const addresses = suiteProcesses.map(({ name, door }) =>
    door === 'grpc' ? `${name} ${addressOf(name, layout)}` : `${name} ${scheme}://${addressOf(name, layout)}`,
  );
  return `ready: ${addresses.join(', ')}, redis ${describeRedis(readRedisConfig(process.env))}`;
}

function sendSignal(pid: number, signal?: string): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has exited since.
  }
}

/** A closed terminal (SIGHUP) stops the suite as Ctrl-C does: nothing may be left running. */
function onStopSignal(listener: () => void): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, listener);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
  const stop = new AbortController();
  onStopSignal(() => stop.abort());
  // A reader that has gone away must not keep the suite from stopping.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  try {
    loadEnvironmentFile();
    await loadCertificates(readOperatorTls(process.env));
    await runSuite(readSettings(process.env), stop);
  } catch (error) {
    if (error === stop.signal.reason && !(error instanceof StartError)) return;
    process.exitCode = 1;
    const isForThePerson = [ConfigError, StartError, RedisServerError].some((kind) => error instanceof kind);
    process.stderr.write(
      `npm start: ${isForThePerson && error instanceof Error ? error.message : inspect(error)}\n`,
    );
  }
}

await main();
