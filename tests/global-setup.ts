import type { TestProject } from 'vitest/node';
import { forEveryProcess } from '../scripts/dist/suite.js';
import { type Addresses, Suite } from './helpers/suite.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** `host:port` of every process of the suite that the tests share. */
    addresses: Addresses;
    /** Its Redis. */
    redis: { host: string; port: number };
  }
}

/**
 * Starts the suite that the tests share, on free ports and with a Redis of its own. With SUITE=compose it starts
 * nothing: the tests then run against the suite that listens on the contract's ports.
 */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  if (process.env['SUITE'] === 'compose') {
    provide(
      'addresses',
      forEveryProcess(({ port }) => `127.0.0.1:${port}`),
    );
    provide('redis', { host: '127.0.0.1', port: 6379 });
    return async () => {};
  }

  const suite = await Suite.start();
  try {
    await suite.waitUntilReady();
  } catch (error) {
    await suite.stop().catch(() => {});
    throw error;
  }
  provide('addresses', suite.addresses);
  provide('redis', { host: suite.redis.host, port: suite.redis.port });
  return () => suite.stop();
}
