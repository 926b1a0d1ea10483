import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import {
  forEveryProcess,
  isHealthy,
  portVariableOf,
  ROOT_FOLDER,
  suiteProcesses,
} from '../../scripts/dist/suite.js';
import { askByTls, openssl, TestCertificates } from '../helpers/certificates.js';
import { findFreePorts } from '../helpers/free-ports.js';
import { readMetrics } from '../helpers/metrics.js';
import { restClient } from '../helpers/rest.js';
import { RunningProcess } from '../helpers/running-process.js';
import { waitFor } from '../helpers/wait-for.js';

let ports: ReturnType<typeof forEveryProcess<number>>;
let redisPort: number;
let folder: string;
let started: RunningProcess[];

beforeEach(async () => {
  const [first = 0, ...free] = await findFreePorts(suiteProcesses.length + 1);
  redisPort = first;
  ports = forEveryProcess(() => free.pop() ?? 0);
  folder = await mkdtemp(join(tmpdir(), 'npm-start-'));
  started = [];
});

afterEach(async () => {
  for (const run of started) {
    run.kill('SIGTERM');
    await run.exited;
  }
  await rm(folder, { recursive: true });
});

/** Runs what `npm start` runs after the build, as a terminal would: in a process group of its own. */
function npmStart(environment: Record<string, string> = {}): RunningProcess {
  const run = new RunningProcess('npm start', 'scripts/dist/start.js', {
    cwd: ROOT_FOLDER,
    environment: {
      ...Object.fromEntries(
        suiteProcesses.map((process) => [portVariableOf(process), String(ports[process.name])]),
      ),
      REDIS_PORT: String(redisPort),
      DATA_FOLDER: folder,
      BCRYPT_COST: '10',
      ...environment,
    },
    detached: true,
  });
  started.push(run);
  return run;
}

function linesOf(run: RunningProcess): string[] {
  return run.output.split('\n');
}

async function waitUntilReady(run: RunningProcess): Promise<void> {
  await Promise.race([
    waitFor(() => linesOf(run).some((line) => line.startsWith('ready')), {
      what: 'npm start says ready',
      timeoutMs: 40_000,
    }),
    run.exited.then(() => {
      throw new Error(`npm start exited:\n${run.output}`);
    }),
  ]);
}

function pressCtrlC(run: RunningProcess): void {
  process.kill(-run.pid, 'SIGINT');
}

/** Is any process left of the group that a run started? */
function isGroupAlive(run: RunningProcess): boolean {
  try {
    return process.kill(-run.pid, 0);
  } catch {
    return false;
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function expectNothingLeft(run: RunningProcess): Promise<void> {
  expect(isGroupAlive(run)).toBe(false);
  const all = [...Object.values(ports), redisPort];
  expect(await Promise.all(all.map(isListening))).toEqual(all.map(() => false));
}

describe('npm start', () => {
  test('has each process serve its metrics on a port of its own', async () => {
    const [first = 0] = await findFreePorts(suiteProcesses.length);
    await waitUntilReady(npmStart({ METRICS_PORT: String(first) }));
    for (const [index, { name }] of suiteProcesses.entries()) {
      const metrics = await readMetrics(`127.0.0.1:${first + index}`);
      expect(metrics.get('requests_in_flight'), name).toBe(0);
      const passwordsThatWait = metrics.get('queued_items{target="bcrypt"}');
      expect(passwordsThatWait, name).toBe(name.startsWith('user_service') ? 0 : undefined);
    }
  });

  test.skipIf(openssl === undefined)('has all speak TLS where it is told of certificates', async () => {
    const made = await TestCertificates.make();
    try {
      const run = npmStart({ TLS_FOLDER: made.madeFolder, AUTH_MODE: 'required' });
      await waitUntilReady(run);
      const address = `127.0.0.1:${ports.user_service_api}`;
      expect(run.output).toContain(`user_service_api https://${address}`);
      expect((await askByTls(address, '/readyz', await made.ofNobody())).status).toBe(200);
      expect((await askByTls(address, '/users', await made.of('operator'))).status).toBe(200);
    } finally {
      await made.remove();
    }
  });

  test('a folder without certificates is named', async () => {
    const run = npmStart({ TLS_FOLDER: folder });
    expect((await run.exited).code).toBe(1);
    expect(run.output).toMatch(
      /^npm start: TLS_CERT is ".*operator\/cert\.pem", which can't be used \(ENOENT\)/,
    );
  });

  test('says ready in one line once every health check passes, and Ctrl-C stops all, Redis last', async () => {
    const run = npmStart();
    await waitUntilReady(run);

    const health = suiteProcesses.map((process) => isHealthy(process, `127.0.0.1:${ports[process.name]}`));
    expect(await Promise.all(health)).toEqual(suiteProcesses.map(() => true));
    const ready = linesOf(run).filter((line) => line.startsWith('ready'));
    expect(ready).toHaveLength(1);
    for (const port of [...Object.values(ports), redisPort]) expect(ready[0]).toContain(`127.0.0.1:${port}`);

    pressCtrlC(run);
    expect(await run.exited).toEqual({ code: 0, signal: null });
    const lines = linesOf(run);
    const exits = lines.flatMap((line, index) => (line.endsWith('exited with code 0') ? [index] : []));
    expect(exits).toHaveLength(suiteProcesses.length);
    expect(lines.indexOf('redis-server has stopped')).toBeGreaterThan(Math.max(...exits));
    await expectNothingLeft(run);
  });

  test('keeps its data over a restart', async () => {
    const account = { email: 'ada@example.com', password: 'correct horse', name: 'Ada' };
    const signUp = () =>
      restClient('user_service_api', `127.0.0.1:${ports.user_service_api}`).post('/users').send(account);

    const first = npmStart();
    await waitUntilReady(first);
    expect((await signUp()).status).toBe(201);
    first.kill('SIGTERM');
    expect(await first.exited).toEqual({ code: 0, signal: null });

    await waitUntilReady(npmStart());
    expect((await signUp()).status).toBe(400);
  });

  test('names the port that is taken, and starts nothing', async () => {
    const other = createServer().listen(ports.message_service_api, '127.0.0.1');
    const run = npmStart();
    expect(await run.exited).toEqual({ code: 1, signal: null });
    other.close();
    expect(run.output).toContain(`port ${ports.message_service_api} of message_service_api is taken`);
    expect(linesOf(run)).toHaveLength(2);
    await expectNothingLeft(run);
  });

  test('leaves a Redis that it did not start alone, and says both ways out', async () => {
    const shared = inject('redis');
    const run = npmStart({ REDIS_PORT: String(shared.port) });
    expect(await run.exited).toEqual({ code: 1, signal: null });
    expect(run.output).toMatch(/port \d+ of Redis is taken.*REDIS_HOST=.*REDIS_PORT=/);
    expect(linesOf(run)).toHaveLength(2);
    await expectNothingLeft(run);
  });

  test('uses the Redis that REDIS_HOST names, and does not stop it', async () => {
    const shared = inject('redis');
    const run = npmStart({ REDIS_HOST: shared.host, REDIS_PORT: String(shared.port) });
    await waitUntilReady(run);
    expect(await isListening(redisPort)).toBe(false);

    run.kill('SIGTERM');
    expect(await run.exited).toEqual({ code: 0, signal: null });
    expect(run.output).not.toContain('redis-server');
    expect(await isListening(shared.port)).toBe(true);
    await expectNothingLeft(run);
  });

  test('refuses a REDIS_URL that would have all services share a database', async () => {
    const run = npmStart({ REDIS_URL: 'redis://127.0.0.1:6379/0', REDIS_PORT: '' });
    expect(await run.exited).toEqual({ code: 1, signal: null });
    expect(run.output).toMatch(/^npm start: REDIS_URL names a database, .*leave the number.*\n$/);
  });

  test('refuses a REDIS_PORT that is none in one line', async () => {
    const run = npmStart({ REDIS_PORT: 'six' });
    expect(await run.exited).toEqual({ code: 1, signal: null });
    expect(run.output).toMatch(/^npm start: REDIS_PORT is "six": expected .*\n$/);
  });

  test('stops everything when a process exits before the suite is ready', async () => {
    const run = npmStart({ BCRYPT_COST: 'high' });
    expect(await run.exited).toEqual({ code: 1, signal: null });
    expect(run.output).toMatch(/^npm start: user_service_\w+ exited \(1\) before the suite was ready/m);
    expect(run.output).not.toMatch(/^ready/m);
    await expectNothingLeft(run);
  });

  test('reports a process that dies later, and goes on', async () => {
    const run = npmStart();
    await waitUntilReady(run);
    const [, pid] = /message_service_grpc \(pid (\d+)\)/.exec(run.output) ?? [];
    process.kill(Number(pid), 'SIGKILL');
    await waitFor(() => run.output.includes('message_service_grpc has exited (SIGKILL)'), {
      what: 'the death is reported',
    });

    const survivors = suiteProcesses.filter(({ name }) => name !== 'message_service_grpc');
    const health = survivors.map((process) => isHealthy(process, `127.0.0.1:${ports[process.name]}`));
    expect(await Promise.all(health)).toEqual(survivors.map(() => true));
    pressCtrlC(run);
    expect(await run.exited).toEqual({ code: 0, signal: null });
    await expectNothingLeft(run);
  });

  test('stops in order when the signal comes while it still starts', async () => {
    const run = npmStart();
    await waitFor(() => run.output.includes('redis-server listens'), { what: 'Redis runs' });
    pressCtrlC(run);
    expect(await run.exited).toEqual({ code: 0, signal: null });
    expect(run.output).not.toMatch(/^ready/m);
    await expectNothingLeft(run);
  });
});
