// Makes the keys by which the services know each other: for each one its own, which nobody else gets, and for all of them
// services.json, which tells the keys apart. Usage: node deploy/tokens/make-keys.mjs [folder]
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';

const services = ['user_service', 'message_service', 'notification_service', 'frontend_service', 'operator'];

const folder = process.argv[2] ?? 'keys';
const publicKeys = [];
try {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const kid of services) {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const { kty, crv, x, d } = await exportJWK(privateKey);
    await write(`${kid}.json`, { kid, kty, crv, x, d });
    publicKeys.push({ kid, kty, crv, x });
  }
  await write('services.json', { keys: publicKeys });
} catch (error) {
  const reason = error.code === 'EEXIST' ? 'there is one already: name another folder' : error.message;
  process.stderr.write(`make-keys: ${reason}\n`);
  process.exit(1);
}
process.stdout.write(`made ${services.join(', ')} and services.json in ${folder}\n`);

/** Overwrites nothing: services that run know each other by what is there. */
async function write(name, content) {
  await writeFile(join(folder, name), `${JSON.stringify(content, null, 2)}\n`, { flag: 'wx', mode: 0o600 });
}
