import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findFreePort } from '../helpers/free-ports.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

/** Stands in for the name server of an orchestrator, which knows a service only once a replica of it is healthy. */
function lateName(file: string): string {
  const preloaded = `
    import dns from 'node:dns';
    import { existsSync } from 'node:fs';
    const { lookup } = dns.promises;
    dns.promises.lookup = async (name, options) => {
      if (name !== 'late.example') return lookup(name, options);
      await new Promise((resolve) => setTimeout(resolve, 300));
      console.log('asked for late.example');
      if (!existsSync(${JSON.stringify(file)})) throw new Error('ENOTFOUND');
      return [{ address: '127.0.0.1', family: 4 }];
    };
  `;
  return `--import=data:text/javascript,${encodeURIComponent(preloaded)}`;
}

test('a peer whose name does not resolve at first is connected to once it does, before the first call', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'late-name-'));
  const file = join(folder, 'it-is-known');
  const port = await findFreePort();
  const peer = createServer((socket) => socket.on('error', () => {}).destroy());
  peer.listen(port, '127.0.0.1');
  let connections = 0;
  peer.on('connection', () => connections++);
  const suite = await Suite.start({
    processes: ['message_service_grpc'],
    processEnvironment: {
      message_service_grpc: { USER_SERVICE_ADDRESS: `late.example:${port}`, NODE_OPTIONS: lateName(file) },
    },
  });
  try {
    const process = suite.process('message_service_grpc');
    await waitFor(() => process.output.includes('asked for late.example'), { what: 'it looks for the name' });
    await writeFile(file, '');
    await waitFor(() => connections > 0, { what: 'it connects' });
    expect(process.isRunning).toBe(true);
  } finally {
    await suite.stop();
    peer.close();
    await rm(folder, { recursive: true });
  }
});
