import { z } from 'zod';

/** Any email a caller names, as it is stored and compared: trimmed and in lower case. */
const email = z.string().trim().toLowerCase();

/** An email a caller may leave out, which counts as an empty one: nobody has it. */
export const optionalEmail = email.default('');

/** An email a caller has to name. */
export const requiredEmail = email.min(1, 'is required');

/**
 * An email that an account can have: a valid ASCII address, as the HTML standard defines one
 * (https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address), which rules out the colon that
 * separates the parts of a Redis key. At most 254 characters (RFC 5321, section 4.5.3.1.3).
 */
export const accountEmail = requiredEmail
  .max(254, 'must be at most 254 characters')
  .regex(z.regexes.html5Email, 'must be an email address, such as alice@example.com');
