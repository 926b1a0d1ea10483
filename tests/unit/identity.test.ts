import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadIdentity } from '@messaging/service_kit/access/identity';
import { ConfigError } from '@messaging/service_kit/config';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newKey } from '../helpers/tokens.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'messaging-identity-'));
});

afterAll(async () => rm(folder, { recursive: true }));

async function load(name: 'serviceKeyFile' | 'serviceKeysFile', content: unknown): Promise<unknown> {
  const file = join(folder, 'file.json');
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  const files = { serviceKeyFile: undefined, serviceKeysFile: undefined, [name]: file };
  return loadIdentity(files).catch((error: unknown) => error);
}

test('a file that is not there stops the process with a line that says what would be', async () => {
  const missing = { serviceKeyFile: join(folder, 'nowhere.json'), serviceKeysFile: undefined };
  await expect(loadIdentity(missing)).rejects.toThrowError(
    /^SERVICE_KEY is ".*nowhere\.json", which can't be used \(ENOENT\): expected a file that .* SERVICE_KEY=keys\/message_service\.json$/,
  );
});

test.each([
  ['no JSON', '{"kid":"message_service","d":"hush-hush"'],
  ['no key', { kid: 'message_service', d: 'hush-hush' }],
  ['a key that can not sign', { kid: 'message_service', kty: 'OKP', crv: 'Ed25519', x: 'x', d: 'hush-hush' }],
])('%s is refused, and not repeated', async (_what, content) => {
  const error = await load('serviceKeyFile', content);
  expect(error).toBeInstanceOf(ConfigError);
  expect(String(error)).not.toContain('hush-hush');
});

test('a key of nobody is refused, among those of the others as well', async () => {
  const stranger = await newKey('billing_service');
  expect(await load('serviceKeyFile', stranger)).toBeInstanceOf(ConfigError);
  expect(await load('serviceKeysFile', { keys: [stranger] })).toBeInstanceOf(ConfigError);
});

test('the keys that were made are taken', async () => {
  const key = await newKey('message_service');
  expect(await load('serviceKeyFile', key)).toBeUndefined();
  expect(await load('serviceKeysFile', { keys: [key] })).toBeUndefined();
});
