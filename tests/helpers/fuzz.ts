import * as fc from 'fast-check';

/** How many inputs each door gets. */
const INPUTS = Number(process.env['FUZZ_INPUTS'] ?? 1_000);
/** How many of them are under way at the same time. */
const AT_ONCE = 50;

/** Whose accounts there are. */
export const knownEmails = ['alice@example.com', 'bob@example.com'];

/** Text that has broken parsers, keys and headers before. */
const hostile = [
  '',
  ' ',
  ':',
  '*',
  'a:b@example.com',
  'users:*',
  '\0',
  'alice@example.com\0',
  'alice@example.com\r\nX-Injected: 1',
  '\u0430lice@example.com', // Cyrillic
  '\uFF41lice@example.com', // full-width
  'alice@example.com\u202E',
  '\u212Aelvin@example.com',
  '\uD800',
  'x\uDC00@example.com',
  '__proto__',
  'constructor',
  'toString',
  '../../etc/passwd',
  "' OR 1=1 --",
  '${7*7}',
  '-1',
  '0',
  '1',
  '1.5',
  '1e309',
  'NaN',
  'null',
  '9'.repeat(400),
  'x'.repeat(300),
  '\u{1F469}\u200D\u{1F469}\u200D\u{1F467}',
  'eyJhbGciOiJub25lIn0.e30.',
];

/** Text from outside: what is right here and there, what is random, and what is meant to do harm. */
export const text: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...knownEmails) },
  { weight: 3, arbitrary: fc.constantFrom(...hostile) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 50 }) },
  { weight: 1, arbitrary: fc.string({ maxLength: 50 }) },
  { weight: 1, arbitrary: fc.nat().map(String) },
);

/** Text that is longer than most of what is accepted; too long for a URL or a header. */
export const longText = fc.constant('x'.repeat(70_000));

/**
 * Tries a door with many inputs, several at a time. Where one fails, the fewest and simplest inputs that still
 * fail are looked for, and the error tells them, and the seed.
 */
export async function tryMany<Input>(
  input: fc.Arbitrary<Input>,
  tryOne: (input: Input) => Promise<void>,
): Promise<void> {
  const batches = fc.array(input, { minLength: 1, maxLength: AT_ONCE, size: 'max' });
  const property = fc.asyncProperty(batches, async (inputs) => {
    await Promise.all(inputs.map(async (one) => tryOne(one)));
  });
  // A batch has half of its maximum on average.
  await fc.assert(property, { numRuns: Math.ceil(INPUTS / (AT_ONCE / 2)) });
}
