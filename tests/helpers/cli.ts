import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { portVariableOf, ROOT_FOLDER, suiteProcesses } from '../../scripts/dist/suite.js';
import { killAtExit } from './kill-at-exit.js';
import type { Addresses } from './suite.js';
import { waitFor } from './wait-for.js';

/** The suite that a command is about. */
export interface Target {
  addresses: Addresses;
  redis: { port: number };
}

export interface CliOptions {
  /** Variables besides those that say where the suite is. */
  environment?: Record<string, string>;
  /** What is piped in; nothing unless told. */
  input?: string;
  /** The file that stdout leads to; it is read here unless told. */
  outputFile?: string;
}

/** What `npx suite` runs, as it runs. */
export class CliProcess {
  stdout = '';
  stderr = '';
  readonly exitCode: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(target: Target, args: string[], { environment, input, outputFile }: CliOptions = {}) {
    const output = outputFile === undefined ? 'pipe' : openSync(outputFile, 'w');
    this.#child = spawn(process.execPath, ['cli/suite.mjs', ...args], {
      cwd: ROOT_FOLDER,
      env: { PATH: process.env['PATH'], ...environmentFor(target), ...environment },
      stdio: ['pipe', output, 'pipe'],
    });
    if (output !== 'pipe') closeSync(output);
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.#child.stdin?.on('error', () => {}).end(input);
    this.exitCode = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', resolve);
    });
    killAtExit(() => this.kill('SIGKILL'));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends it a signal the moment that it writes anything. */
  killOnOutput(signal: NodeJS.Signals): void {
    this.#child.stdout?.once('data', () => this.kill(signal));
  }

  /** Reads no further. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
  }

  /** Does not read what is wrong. */
  closeErrors(): void {
    this.#child.stderr?.destroy();
  }

  /** The lines that it has written so far. */
  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  async waitForLines(count: number): Promise<void> {
    await waitFor(() => this.lines.length >= count, { what: `${count} lines of ${this.stdout}` });
  }
}

/** Runs a command to its end. */
export async function runCli(target: Target, args: string[], options?: CliOptions) {
  const running = new CliProcess(target, args, options);
  const code = await running.exitCode;
  return { code, stdout: running.stdout, stderr: running.stderr };
}

/** Says where the suite is, as one would for `npm start`. */
export function environmentFor({ addresses, redis }: Target): Record<string, string> {
  const ports = suiteProcesses.map((process) => [
    portVariableOf(process),
    addresses[process.name].split(':')[1] ?? '',
  ]);
  return { HOST: '127.0.0.1', ...Object.fromEntries(ports), REDIS_PORT: String(redis.port) };
}
