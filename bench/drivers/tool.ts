import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { BenchError } from '../options.js';

const PACKAGES = {
  h2load: 'nghttp2-client',
  wrk: 'wrk',
  'redis-benchmark': 'redis-tools',
  taskset: 'util-linux',
} as const;
export type Tool = keyof typeof PACKAGES;

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** @throws {BenchError} saying what to install. */
export async function ensureTools(): Promise<void> {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const isThere = async (tool: string) => {
    const found = folders.map((folder) => access(join(folder, tool), constants.X_OK));
    return Promise.any(found).then(
      () => true,
      () => false,
    );
  };
  const checked = await Promise.all(
    Object.entries(PACKAGES).map(async ([tool, name]) => ((await isThere(tool)) ? [] : [{ tool, name }])),
  );
  const missing = checked.flat();
  if (missing.length === 0) return;
  const tools = missing.map(({ tool }) => tool).join(', ');
  const packages = missing.map(({ name }) => name).join(' ');
  throw new BenchError(
    `${tools} not found. On Debian or Ubuntu: apt-get install ${packages}. macOS has no /proc, which the bench reads`,
  );
}

/** Runs a tool to its end and returns what it printed. @throws {BenchError} when it fails. */
export function runTool(tool: Tool, args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(tool, args, { signal, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) => {
      if (signal.aborted) reject(signal.reason);
      else if (error) reject(new BenchError(`${tool} failed: ${error.message} ${stdout} ${stderr}`));
      else resolve(stdout);
    });
  });
}
