// Prints users.acl with the passwords of its users, as their SHA-256 hashes: `node set-passwords.mjs > FILE`. A user's password is
// in the variable that has its name: USER_SERVICE_REDIS_PASSWORD and so on.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const MIN_LENGTH = 16;

/**
 * @param {string} user
 * @returns {string}
 */
function readPassword(user) {
  const name = `${user.toUpperCase()}_REDIS_PASSWORD`;
  const password = process.env[name] ?? '';
  if (password.length >= MIN_LENGTH) return password;
  throw new Error(
    `${name} must be ${MIN_LENGTH} characters at the least, for example ${name}=$(openssl rand -hex 24)`,
  );
}

try {
  const rules = readFileSync(new URL('users.acl', import.meta.url), 'utf8');
  const withPasswords = rules.replace(/^user (\w+) on resetpass/gm, (_, user) => {
    const hash = createHash('sha256').update(readPassword(user)).digest('hex');
    return `user ${user} on #${hash}`;
  });
  process.stdout.write(withPasswords);
} catch (error) {
  process.stderr.write(`set-passwords: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
