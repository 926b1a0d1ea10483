import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { access, chmod, constants, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT_FOLDER } from './suite.js';

const run = promisify(execFile);

/** A Redis that can't be had or started. Its message is one line for the person who wants it. */
export class RedisServerError extends Error {
  override readonly name = 'RedisServerError';
}

/** Where package managers put programs, whatever the PATH says. */
const PROGRAM_FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin'];
const FETCHED_FOLDER = join(ROOT_FOLDER, '.data', 'redis-server');
const STOP_TIMEOUT_MS = 10_000;

/**
 * Finds `redis-server`, or gets it: from the system's package manager where that needs no password, else
 * compiled by `redis-memory-server`, which npx fetches.
 *
 * @param signal gives up when aborted, but lets a package manager finish: it would leave a half-installed package
 * @returns the path of the program.
 * @throws {RedisServerError} saying what to install.
 */
export async function ensureRedisServer(signal?: AbortSignal): Promise<string> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const find = (program: string, where = folders) => findProgram(program, where);
  const found = await find('redis-server');
  if (found !== undefined) return found;

  const attempts: Attempt[] = [];
  const isRoot = process.getuid?.() === 0;
  if (isRoot && (await find('apt-get'))) attempts.push({ with: 'apt-get', get: installWithApt });
  if (isRoot && (await find('apk'))) attempts.push({ with: 'apk', get: () => run('apk', ['add', 'redis']) });
  if (await find('brew')) attempts.push({ with: 'brew', get: () => run('brew', ['install', 'redis']) });
  attempts.push({
    with: 'npx redis-memory-server (it compiles: a few minutes)',
    get: () => fetchWithNpx(signal),
  });

  for (const attempt of attempts) {
    signal?.throwIfAborted();
    process.stderr.write(`redis-server is not installed; getting it with ${attempt.with}\n`);
    try {
      await attempt.get();
      const installed = await find('redis-server', [
        ...folders,
        ...PROGRAM_FOLDERS,
        join(FETCHED_FOLDER, 'stable'),
      ]);
      if (installed !== undefined) return installed;
    } catch (error) {
      process.stderr.write(`${attempt.with} failed: ${lastLine(String(error))}\n`);
    }
  }
  throw new RedisServerError(
    'redis-server is not installed and could not be fetched: install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), or set REDIS_HOST to use a Redis of yours',
  );
}

interface Attempt {
  with: string;
  get: () => Promise<unknown>;
}

async function findProgram(program: string, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder, program);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

const POLICY_FILE = '/usr/sbin/policy-rc.d';

async function installWithApt(): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update'], { env });

  // Debian starts a service as it is installed, on the very port that we want, unless this file says no.
  const kept = `${POLICY_FILE}.kept`;
  await rename(POLICY_FILE, kept).catch(() => {});
  try {
    await writeFile(POLICY_FILE, '#!/bin/sh\nexit 101\n');
    await chmod(POLICY_FILE, 0o755);
    await run('apt-get', ['install', '--yes', '--no-install-recommends', 'redis-server'], { env });
  } finally {
    await rm(POLICY_FILE, { force: true });
    await rename(kept, POLICY_FILE).catch(() => {});
  }
}

async function fetchWithNpx(signal?: AbortSignal): Promise<void> {
  await mkdir(FETCHED_FOLDER, { recursive: true });
  // Its install script only runs where npx has not installed it before: run that one by hand.
  const compile =
    'node "$(dirname "$(command -v redis-memory-server)")/../redis-memory-server/scripts/postinstall.js" >&2';
  await run('npx', ['--yes', '--package', 'redis-memory-server@0.17.1', '--call', compile], {
    env: {
      ...process.env,
      REDISMS_DOWNLOAD_DIR: FETCHED_FOLDER,
      // Without it, redis-memory-server accepts any certificate for what it compiles.
      npm_config_strict_ssl: 'true',
      npm_config_loglevel: 'error',
    },
    ...(signal ? { signal } : {}),
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** When Redis waits for the disk: before each answer, or once a second, which a power failure can cost. */
export const APPENDFSYNC_CHOICES = ['always', 'everysec'] as const;
export type Appendfsync = (typeof APPENDFSYNC_CHOICES)[number];

/** A Redis of our own on this machine, which keeps every write on disk. */
export class LocalRedis {
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly appendfsync: Appendfsync = 'always',
    /** More of what redis.conf knows. */
    private readonly moreOptions: Record<string, string> = {},
  ) {}

  /** Resolves once the server that was started last has exited. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /**
   * Starts it and waits until it accepts connections.
   *
   * @throws {RedisServerError} when there is no `redis-server`, or it exits at once.
   */
  async start(signal?: AbortSignal): Promise<void> {
    const program = await ensureRedisServer(signal);
    await mkdir(this.folder, { recursive: true });
    const options = {
      port: this.port,
      bind: '127.0.0.1',
      dir: '.',
      appendonly: 'yes',
      appendfsync: this.appendfsync,
      // By default, snapshots are made besides: nobody would read them.
      save: '',
      'maxmemory-policy': 'noeviction',
      ...this.moreOptions,
    };
    const child = spawn(
      program,
      Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
      // A process group of its own: Ctrl-C must not stop it before those who still write to it.
      { cwd: this.folder, detached: true, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('close', () => resolve()));

    await new Promise<void>((resolve, reject) => {
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-10_000);
        if (output.includes('Ready to accept connections')) resolve();
      });
      child.once('error', reject);
      child.once('close', () =>
        reject(new RedisServerError(`redis-server on port ${this.port} exited: ${lastLine(output)}`)),
      );
    });
  }

  /** Sends it a signal, such as SIGKILL for a crash or SIGSTOP for a Redis that hangs. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Stops it in order, or the hard way when that takes longer than 10 s. */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    const force = setTimeout(() => this.signal('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(force);
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
