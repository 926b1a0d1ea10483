import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureRedisServer, LocalRedis } from '#scripts/redis-server';
import { ROOT_FOLDER } from '#scripts/suite';
import { Redis } from 'ioredis';
import { BenchError } from './options.js';

const STOP_TIMEOUT_MS = 15_000;

/** A process that is measured. */
export interface Measured {
  name: string;
  pid: number;
}

/** A Redis of our own. */
export interface BenchRedis extends Measured {
  host: string;
  port: number;
}

interface Child {
  name: string;
  process: ChildProcess;
  exited: Promise<void>;
}

/** All that the bench starts, so that nothing of it outlives the bench: processes, servers, connections, files. */
export class Processes {
  readonly #programs: Child[] = [];
  readonly #servers: Child[] = [];
  readonly #localRedises: LocalRedis[] = [];
  readonly #clients: Redis[] = [];
  #isStopping = false;

  private constructor(
    /** For temporary files; gone when everything is stopped. */
    readonly folder: string,
    private readonly abort: AbortController,
  ) {
    process.once('exit', this.#kill);
  }

  /** @param abort aborted when a process ends that should not */
  static async create(abort: AbortController): Promise<Processes> {
    return new Processes(await mkdtemp(join(tmpdir(), 'messaging-bench-')), abort);
  }

  /** Others, to be stopped before these, by whoever creates them. */
  async createOthers(): Promise<Processes> {
    return Processes.create(this.abort);
  }

  /** Starts a Node program. Its output is thrown away: writing it is part of its work, reading it is not. */
  startNode(
    name: string,
    file: string,
    options: { flags?: string[]; args?: string[]; env?: Record<string, string> },
  ): Measured {
    const { flags = [], args = [], env = {} } = options;
    const argv = [...flags, join(ROOT_FOLDER, file), ...args];
    const child = this.#spawn(name, process.execPath, argv, { cwd: ROOT_FOLDER, env });
    this.#programs.push(child);
    return { name, pid: pidOf(child) };
  }

  /** A Redis as the suite has it: every write is on disk before it is answered. */
  async startDurableRedis(name: string, port: number): Promise<BenchRedis> {
    const redis = new LocalRedis(port, join(this.folder, name));
    this.#localRedises.push(redis);
    await redis.start(this.abort.signal);
    void redis.exited.then(() => this.#fail(`${name} has exited`));
    return this.#described(name, port);
  }

  /** A Redis that keeps everything in memory alone. */
  async startVolatileRedis(name: string, port: number): Promise<BenchRedis> {
    const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no' };
    const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)]);
    const child = this.#spawn(name, await ensureRedisServer(this.abort.signal), args, {
      cwd: this.folder,
      env: {},
    });
    this.#servers.push(child);
    return this.#described(name, port);
  }

  /** A connection to one database of a Redis. */
  connect({ host, port }: BenchRedis, database: number): Redis {
    const client = new Redis({ host, port, db: database });
    client.on('error', () => {});
    this.#clients.push(client);
    return client;
  }

  /** Stops everything, each Redis last, and removes the files. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const client of this.#clients) client.disconnect();
    await stopChildren(this.#programs);
    await stopChildren(this.#servers);
    await Promise.all(this.#localRedises.map((redis) => redis.stop()));
    await rm(this.folder, { recursive: true, force: true });
    process.off('exit', this.#kill);
  }

  /** The last resort, should the bench itself fail: it can't wait for anything. */
  readonly #kill = (): void => {
    for (const child of [...this.#programs, ...this.#servers]) child.process.kill('SIGKILL');
    for (const redis of this.#localRedises) redis.signal('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  };

  async #described(name: string, port: number): Promise<BenchRedis> {
    const redis = { name, host: '127.0.0.1', port };
    const pid = /^process_id:(\d+)/m.exec(await this.connect({ ...redis, pid: 0 }, 0).info('server'))?.[1];
    if (pid === undefined) throw new Error(`${name} does not tell its process id`);
    return { ...redis, pid: Number(pid) };
  }

  #spawn(
    name: string,
    program: string,
    args: string[],
    { cwd, env }: { cwd: string; env: Record<string, string> },
  ): Child {
    this.abort.signal.throwIfAborted();
    const child = spawn(program, args, {
      cwd,
      // Nothing of this shell's settings is measured by accident.
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
      // A process group of its own: Ctrl-C must reach the bench alone, which stops the rest in order.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2_000)));
    const exited = new Promise<void>((resolve) => {
      child.once('error', (error) => {
        this.#fail(`${name} could not be started: ${error.message}`);
        resolve();
      });
      child.once('close', (code, signal) => {
        this.#fail(`${name} has exited (${signal ?? code}). ${complaint}`);
        resolve();
      });
    });
    return { name, process: child, exited };
  }

  #fail(reason: string): void {
    if (!this.#isStopping) this.abort.abort(new BenchError(reason.trim()));
  }
}

function pidOf({ name, process: { pid } }: Child): number {
  if (pid === undefined) throw new BenchError(`${name} could not be started`);
  return pid;
}

async function stopChildren(children: readonly Child[]): Promise<void> {
  await Promise.all(
    children.map(async ({ process: child, exited }) => {
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(force);
    }),
  );
}
