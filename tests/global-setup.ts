import type { TestProject } from 'vitest/node';
import { forEveryProcess, suiteProcesses } from '../scripts/dist/suite.js';
import { isFrontendRestAbsent } from './helpers/absent.js';
import { type ApiDescription, apiDescription } from './helpers/api-description.js';
import { type Addresses, type ProcessName, Suite } from './helpers/suite.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** `host:port` of every process of the suite that the tests share. */
    addresses: Addresses;
    /** Its Redis. */
    redis: { host: string; port: number };
    /** What each REST door says of itself, as OpenAPI; nothing where a door is absent. */
    apiDescriptions: Partial<Record<ProcessName, ApiDescription>>;
  }
}

/**
 * Starts the suite that the tests share, on free ports and with a Redis of its own. With SUITE=compose it starts
 * nothing: the tests then run against the suite that listens on the contract's ports.
 */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  if (process.env['SUITE'] === 'compose') {
    const addresses = forEveryProcess(({ port }) => `127.0.0.1:${port}`);
    provide('addresses', addresses);
    provide('redis', { host: '127.0.0.1', port: 6379 });
    provide('apiDescriptions', await readApiDescriptions(addresses));
    return async () => {};
  }

  const suite = await Suite.start();
  try {
    await suite.waitUntilReady();
    provide('apiDescriptions', await readApiDescriptions(suite.addresses));
  } catch (error) {
    await suite.stop().catch(() => {});
    throw error;
  }
  provide('addresses', suite.addresses);
  provide('redis', { host: suite.redis.host, port: suite.redis.port });
  return () => suite.stop();
}

async function readApiDescriptions(
  addresses: Addresses,
): Promise<Partial<Record<ProcessName, ApiDescription>>> {
  const doors = suiteProcesses.filter(({ door }) => door === 'api_rest');
  const present = isFrontendRestAbsent
    ? doors.filter(({ service }) => service !== 'frontend_service')
    : doors;
  const described = await Promise.all(
    present.map(async ({ name }) => {
      const answer = await fetch(`http://${addresses[name]}/openapi.json`);
      return [name, apiDescription.parse(await answer.json())];
    }),
  );
  return Object.fromEntries(described);
}
