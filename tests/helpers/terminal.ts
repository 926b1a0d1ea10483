import { type ChildProcess, spawn } from 'node:child_process';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';
import { environmentFor, type Target } from './cli.js';
import { killAtExit } from './kill-at-exit.js';

/** A person at a terminal, who runs `suite` by a line of the shell. Made by `script`, of util-linux. */
export class Terminal {
  /** What the person sees. */
  screen = '';
  readonly exitCode: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(target: Target, line: string) {
    const command = `exec '${process.execPath}' cli/suite.mjs ${line}`;
    this.#child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      cwd: ROOT_FOLDER,
      env: { PATH: process.env['PATH'], SHELL: '/bin/sh', TERM: 'xterm', ...environmentFor(target) },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.screen += chunk.toString()));
    this.#child.stdin?.on('error', () => {});
    this.exitCode = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', resolve);
    });
    killAtExit(() => this.#child.kill('SIGKILL'));
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }
}
