import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type AccessConfig, ConfigError } from '../config.js';
import { serviceName } from './callers.js';
import { publicKey, publicKeySet, type PublicKeySet, ServiceTokens, signingKey } from './tokens.js';

const ownKey = signingKey.extend({ kid: serviceName });
const serviceKeySet = publicKeySet.extend({
  keys: z.array(publicKey.refine(({ kid }) => serviceName.safeParse(kid).success)),
});

/** Makes what this process shows others of itself; undefined where it has no key for that. */
export let ownTokens: ServiceTokens | undefined;

/** The keys by which services that call this process are known. */
export let serviceKeys: PublicKeySet = { keys: [] };

/** Reads the keys by which services know each other. @throws {ConfigError} for a file that can't be used. */
export async function loadIdentity({
  serviceKeyFile,
  serviceKeysFile,
}: Omit<AccessConfig, 'mode'>): Promise<void> {
  if (serviceKeyFile !== undefined) {
    const key = readJson('SERVICE_KEY', serviceKeyFile, ownKey);
    const tokens = new ServiceTokens(key.kid, key);
    // A key that can't sign is found out now.
    await tokens.current(key.kid).catch(() => {
      throw unusable('SERVICE_KEY', serviceKeyFile, 'it is no Ed25519 key');
    });
    ownTokens = tokens;
  }
  if (serviceKeysFile !== undefined) {
    serviceKeys = readJson('SERVICE_KEYS', serviceKeysFile, serviceKeySet);
  }
}

/** Without what the file holds: that is a secret. */
function readJson<Schema extends z.ZodType>(name: string, file: string, schema: Schema): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const reason =
      error instanceof Error && 'code' in error ? String(error.code) : 'it does not hold what it should';
    throw unusable(name, file, reason);
  }
}

function unusable(name: string, file: string, reason: string): ConfigError {
  const example = name === 'SERVICE_KEY' ? 'keys/message_service.json' : 'keys/services.json';
  return new ConfigError(
    `${name} is ${JSON.stringify(file)}, which can't be used (${reason}): expected a file that deploy/tokens/make-keys.mjs has made, for example ${name}=${example}`,
  );
}
