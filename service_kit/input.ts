import { z } from 'zod';
import { ServiceError } from './errors.js';

/** Text that can be written as UTF-8: half a surrogate pair would make a reply that strict clients refuse. */
export const text = z
  .string()
  .refine((value) => value.isWellFormed(), 'must be valid Unicode, without half a surrogate pair');

/** A boolean in a query string; one that is left out, or empty, is false. */
export const booleanText = z
  .enum(['true', 'false', ''], 'must be true or false')
  .default('false')
  .transform((value) => value === 'true')
  .meta({ override: { type: 'boolean', enum: undefined, default: false } });

/**
 * Parses what came in from outside.
 *
 * @param depth how many steps into the input the caller's own part of it begins: the fields at fault are named from there
 * @throws {ServiceError} `invalid`, naming each field at fault and what is wrong with it.
 */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  depth = 0,
): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new ServiceError('invalid', describeFaults(schema, input, depth));
}

/** Parses it again: to have every parse ready to describe faults makes it take three times as long. */
function describeFaults(schema: z.ZodType, input: unknown, depth: number): string {
  const { error } = schema.safeParse(input, { error: (issue) => describeIssue(issue, depth) });
  const faults = error?.issues.map(
    ({ path, message }) => `${path.slice(depth).join('.') || 'The request'} ${message}`,
  );
  return faults?.join('; ') ?? '';
}

function describeIssue(issue: z.core.$ZodRawIssue, depth: number): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined && (issue.path?.length ?? 0) <= depth) {
        return 'must be a JSON object, sent with Content-Type: application/json';
      }
      // proto-loader gives null for a message that is not set.
      return issue.input == null ? 'is required' : `must be ${withArticle(issue.expected)}`;
    case 'unrecognized_keys':
      return `has unknown fields: ${issue.keys.join(', ')}`;
    default:
      return undefined;
  }
}

function withArticle(type: string): string {
  if (type === 'object') return 'a JSON object';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}
