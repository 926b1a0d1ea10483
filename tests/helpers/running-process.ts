import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { killAtExit } from './kill-at-exit.js';

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** What to run, besides the file. */
export interface RunOptions {
  /** The root folder unless told otherwise. */
  cwd: string;
  /** The whole environment: nothing of the tests' own leaks in, but PATH and HOME. */
  environment: Record<string, string>;
  /** Makes it the leader of a process group of its own, as a terminal does. */
  detached?: boolean;
}

/** A Node process that a test watches, kills and starts again. */
export class RunningProcess {
  #child: ChildProcess;
  #output = '';
  #exited: Promise<Exit>;

  constructor(
    readonly name: string,
    private readonly file: string,
    private readonly options: RunOptions,
  ) {
    [this.#child, this.#exited] = this.#spawn();
    killAtExit(() => this.kill('SIGKILL'));
  }

  /** What it has written so far, stdout and stderr, restarts included. */
  get output(): string {
    return this.#output;
  }

  /** Resolves when it ends; after a restart it is the new one's end. */
  get exited(): Promise<Exit> {
    return this.#exited;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} could not be spawned`);
    return this.#child.pid;
  }

  /** How much memory it holds, as Linux tells it. */
  get memoryBytes(): number {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8')) ?? [];
    return Number(kilobytes) * 1_024;
  }

  /** Sends it a signal. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Kills it if it still runs, and starts it again with the same environment. */
  async restart(): Promise<void> {
    if (this.isRunning) this.kill('SIGKILL');
    await this.#exited;
    [this.#child, this.#exited] = this.#spawn();
  }

  #spawn(): [ChildProcess, Promise<Exit>] {
    const { cwd, environment, detached = false } = this.options;
    const child = spawn(process.execPath, [this.file], {
      cwd,
      detached,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (this.#output += chunk.toString()));
    }
    return [
      child,
      new Promise((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (code, signal) => resolve({ code, signal }));
      }),
    ];
  }
}
