import bcrypt from 'bcrypt';
import { afterEach, expect, test, vi } from 'vitest';
import { Passwords } from '../../user_service/dist/domain/passwords.js';

const cost = 10;

afterEach(() => void vi.restoreAllMocks());

test('a password matches its hash, and no other', async () => {
  const passwords = new Passwords({ cost, concurrency: 2, queueLength: 64, minLength: 8 });
  const hash = await passwords.hash('wonderland');
  expect(hash).toMatch(/^\$2b\$10\$/);
  expect(await passwords.matches('wonderland', hash)).toBe(true);
  expect(await passwords.matches('Wonderland', hash)).toBe(false);
});

test('a new password has to be long enough, in what people take for characters', () => {
  const passwords = new Passwords({ cost, concurrency: 2, queueLength: 64, minLength: 8 });
  const family = '\u{1F469}\u200D\u{1F469}\u200D\u{1F467}';
  expect(() => passwords.checkLength('1234567')).toThrowError(/^password must be at least 8 characters$/);
  expect(() => passwords.checkLength(`123456${family}`)).toThrowError(/at least 8/);
  passwords.checkLength('12345678');
  passwords.checkLength('ééééééüü');
});

test('whatever bcrypt would ignore does not match', async () => {
  const passwords = new Passwords({ cost, concurrency: 2, queueLength: 64, minLength: 8 });
  const longest = 'é'.repeat(36);
  const hash = await passwords.hash(longest);
  expect(await passwords.matches(longest, hash)).toBe(true);
  expect(await passwords.matches(`${longest}!`, hash)).toBe(false);
});

test('nobody has the decoy password, which is checked where there is no hash', async () => {
  const passwords = new Passwords({ cost, concurrency: 2, queueLength: 64, minLength: 8 });
  const compare = vi.spyOn(bcrypt, 'compare');
  expect(await passwords.matches('nobody has this password', undefined)).toBe(false);
  expect(compare.mock.calls).toEqual([['nobody has this password', expect.stringMatching(/^\$2b\$10\$/)]]);
});

test('a hash of a lower cost is outdated, and none of the same or a higher one', async () => {
  const passwords = new Passwords({ cost, concurrency: 2, queueLength: 64, minLength: 8 });
  expect(passwords.isOutdated(await bcrypt.hash('secret', 4))).toBe(true);
  expect(passwords.isOutdated(await passwords.hash('secret'))).toBe(false);
  expect(passwords.isOutdated(await bcrypt.hash('secret', 11))).toBe(false);
});

test('more than the queue holds are refused at once, and the others are served', async () => {
  const passwords = new Passwords({ cost, concurrency: 1, queueLength: 2, minLength: 8 });
  const attempts = await Promise.allSettled(Array.from({ length: 4 }, () => passwords.hash('secret')));
  expect(attempts.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
  expect(attempts[3]).toMatchObject({ reason: { kind: 'tooMany' } });
  await expect(passwords.hash('secret')).resolves.toMatch(/^\$2b/);
});
