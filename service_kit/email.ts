import { z } from 'zod';

/** Any email a caller names, as it is stored and compared: trimmed and in lower case. */
const email = z.string().trim().toLowerCase();

/** An email a caller may leave out, which counts as an empty one: nobody has it. */
export const optionalEmail = email.default('');

/** An email a caller has to name. */
export const requiredEmail = email.min(1, 'is required');

/** The most characters of an address (RFC 5321, section 4.5.3.1.3). */
export const MAX_EMAIL_LENGTH = 254;

const tooLong = `must be at most ${MAX_EMAIL_LENGTH} characters`;

/** An email that something is stored for, whether or not it is an account's. */
export const recordedEmail = requiredEmail.max(MAX_EMAIL_LENGTH, tooLong);

/** An email that is stored with something, where a caller names one. */
export const optionalRecordedEmail = email.max(MAX_EMAIL_LENGTH, tooLong).default('');

/**
 * An email that an account can have: a valid ASCII address, as the HTML standard defines one
 * (https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address), which rules out the colon that
 * separates the parts of a Redis key.
 *
 * @NOTE It is lower-cased last: that makes an ASCII letter of some that are none, such as the Kelvin sign.
 */
export const accountEmail = z
  .string()
  .trim()
  .min(1, 'is required')
  .max(MAX_EMAIL_LENGTH, tooLong)
  .regex(z.regexes.html5Email, 'must be an email address, such as alice@example.com')
  .toLowerCase()
  .meta({ description: 'Kept in lower case, and unique', examples: ['alice@example.com'] });
