import type { Request } from 'express';
import { z } from 'zod';
import { requiredEmail } from '../email.js';
import { parseInput } from '../input.js';

const emailQuery = z.object({ email: requiredEmail });

/**
 * Reads the email that a GET asks about: from the query, or from a JSON body, which serves too.
 *
 * @throws {ServiceError} `invalid` when neither names one.
 */
export function readEmailQuery(request: Request): string {
  const source: unknown = request.query.email ? request.query : (request.body ?? {});
  return parseInput(emailQuery, source).email;
}
