import { z } from 'zod';
import { requiredEmail } from '../email.js';
import { parseInput } from '../input.js';

const named = z.object({ email: requiredEmail });

/** The input of a GET about an email, which it names in the query or, as older callers do, in a JSON body. */
export const emailInput = z.object({
  query: z.object({
    email: z
      .string()
      .optional()
      .meta({
        description: 'Whose. Required, unless a JSON body `{"email"}` names it',
        examples: ['alice@example.com'],
      }),
  }),
  body: z.object({ email: z.string().nullish() }).optional(),
});

/** @throws {ServiceError} `invalid` when neither names one. */
export function readEmail({ query, body }: z.output<typeof emailInput>): string {
  return parseInput(named, query.email ? query : (body ?? {})).email;
}
