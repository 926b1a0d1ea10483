import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';
import { credentialsFor } from './credentials.js';

const run = promisify(execFile);
const BUF = join(ROOT_FOLDER, 'node_modules', '.bin', 'buf');
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

export type Reflection = 'grpc-v1' | 'grpc-v1alpha';

/** Runs `buf curl`, which knows of a service only what reflection tells it, and returns what it prints. */
export async function bufCurl(
  url: string,
  { reflection = 'grpc-v1', data, flags = [] }: { reflection?: Reflection; data?: object; flags?: string[] },
): Promise<string> {
  const credentials = credentialsFor(url.slice(url.indexOf('/')), data);
  const { stdout } = await run(
    BUF,
    [
      'curl',
      '--protocol=grpc',
      '--http2-prior-knowledge',
      `--reflect-protocol=${reflection}`,
      ...(data ? ['--data', JSON.stringify(data)] : []),
      ...Object.entries(credentials).map(([name, value]) => `--header=${name}: ${value}`),
      ...flags,
      `http://${url}`,
    ],
    { maxBuffer: MAX_OUTPUT_BYTES },
  );
  return stdout;
}
