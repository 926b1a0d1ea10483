import { rm } from 'node:fs/promises';
import { Redis } from 'ioredis';
import type { TestProject } from 'vitest/node';
import { forEveryProcess, suiteProcesses } from '../scripts/dist/suite.js';
import { isFrontendRestAbsent } from './helpers/absent.js';
import { type ApiDescription, apiDescription } from './helpers/api-description.js';
import { type Addresses, type ProcessName, Suite, type SuiteOptions } from './helpers/suite.js';
import { TEST_SESSION, TestKeys } from './helpers/tokens.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** `host:port` of every process of the suite that the tests share. */
    addresses: Addresses;
    /** Its Redis. */
    redis: { host: string; port: number };
    /** What each REST door says of itself, as OpenAPI; nothing where a door is absent. */
    apiDescriptions: Partial<Record<ProcessName, ApiDescription>>;
    /** Where the keys are that its tokens are signed with, where it asks callers who they are. */
    keysFolder: string | undefined;
  }
}

/**
 * Starts the suite that the tests share, on free ports and with a Redis of its own. With SUITE=compose it starts
 * nothing: the tests then run against the suite that listens on the contract's ports.
 */
export default async function setup({ provide, name }: TestProject): Promise<() => Promise<void>> {
  if (process.env['SUITE'] === 'compose') {
    const addresses = forEveryProcess(({ port }) => `127.0.0.1:${port}`);
    provide('addresses', addresses);
    provide('redis', { host: '127.0.0.1', port: 6379 });
    provide('apiDescriptions', await readApiDescriptions(addresses));
    return async () => {};
  }

  const keys = name === 'required' ? await TestKeys.make() : undefined;
  provide('keysFolder', keys?.folder);
  const suite = await Suite.start(keys && askingForTokens(keys));
  try {
    await suite.waitUntilReady();
    if (keys) await beginTestSession(suite);
    provide('apiDescriptions', await readApiDescriptions(suite.addresses));
  } catch (error) {
    await suite.stop().catch(() => {});
    throw error;
  }
  provide('addresses', suite.addresses);
  provide('redis', { host: suite.redis.host, port: suite.redis.port });
  return async () => {
    await suite.stop();
    if (keys) await rm(keys.folder, { recursive: true });
  };
}

/** A suite in the required mode whose callers are otherwise as free as those of the open one. */
function askingForTokens(keys: TestKeys): SuiteOptions {
  const tokenKeys = { TOKEN_KEYS_FILE: keys.tokenKeysFile };
  return {
    serviceKeysFolder: keys.servicesFolder,
    environment: {
      MIN_PASSWORD_LENGTH: '1',
      LOG_IN_FAILURES: '0',
      LOG_IN_FAILURES_PER_ADDRESS: '0',
      SENDS_PER_MINUTE: '0',
      WATCHES_PER_USER: '0',
    },
    processEnvironment: { user_service_api: tokenKeys, user_service_grpc: tokenKeys },
  };
}

async function beginTestSession({ redis: { host, port } }: Suite): Promise<void> {
  const redis = new Redis({ host, port });
  await redis.set(`session:${TEST_SESSION}`, JSON.stringify({ email: 'tests', secret_hash: '' }));
  redis.disconnect();
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
