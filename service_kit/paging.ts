import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ServiceError } from './errors.js';

/** Pages follow AIP-158 (https://google.aip.dev/158). */
export const DEFAULT_PAGE_SIZE = 50;
export const MAX_PAGE_SIZE = 500;

/** A page size as callers give it: not negative; 0 or nothing means unset. Above the maximum it is clamped. */
export const pageSize = z.int('must be a whole number').pipe(nonNegative()).optional();

/** The same as text, for a query string, where an empty one is unset, too. */
export const pageSizeText = z
  .string()
  .regex(/^(-?\d+)?$/, 'must be a whole number')
  .transform(Number)
  .pipe(nonNegative())
  .optional();

function nonNegative() {
  return z
    .number()
    .min(0, 'must not be negative')
    .transform((size) => Math.min(size, MAX_PAGE_SIZE) || undefined);
}

/** A page token as callers give it; an empty one asks for the first page. */
export const pageToken = z.string().optional();

/** The part of a query string that says which page of a list is wanted. */
export const pageQuery = z.object({
  page_size: pageSizeText.meta({
    description: `How many at the most, up to ${MAX_PAGE_SIZE}; unset or 0 for the usual number`,
    override: { type: 'integer', minimum: 0, pattern: undefined },
  }),
  page_token: pageToken.meta({
    description:
      'The next_page_token of the page before, with the same request otherwise; unset for the first page',
  }),
});

/** The part of an answer that says where the list goes on. */
export const nextPageToken = z.string().meta({ description: 'Asks for the next page; empty on the last' });

/** Which page of a list: unset values ask for the first page, of the size that is usual for the list. */
export interface PageRequest {
  size: number | undefined;
  token: string | undefined;
}

/** Turns what a caller asks for into the page that is meant. */
export function toPageRequest({ page_size, page_token }: z.output<typeof pageQuery>): PageRequest {
  return { size: page_size, token: page_token };
}

/** One page of a list. `nextPageToken` is empty on the last page. */
export interface Page<Item> {
  items: Item[];
  nextPageToken: string;
}

/**
 * Makes an opaque token for the page that starts after `position`. It is good only for the list that `list`
 * describes: the kind of list and everything that filters or orders it.
 */
export function encodePageToken(list: readonly string[], position: string): string {
  return Buffer.from(JSON.stringify([fingerprint(list, position), position])).toString('base64url');
}

/**
 * Reads a token made by `encodePageToken`: the position, or undefined for the first page.
 *
 * @throws {ServiceError} `invalid` when the token is damaged or belongs to another list.
 */
export function decodePageToken(list: readonly string[], token: string | undefined): string | undefined {
  if (!token) return undefined;
  const content = tokenContent.safeParse(Buffer.from(token, 'base64url').toString());
  if (!content.success || content.data[0] !== fingerprint(list, content.data[1])) {
    throw new ServiceError(
      'invalid',
      'page_token is not valid for this list: pass a next_page_token unchanged, with the same request otherwise',
    );
  }
  return content.data[1];
}

function fingerprint(list: readonly string[], position: string): string {
  return createHash('sha256')
    .update(JSON.stringify([...list, position]))
    .digest('base64url')
    .slice(0, 11);
}

const tokenContent = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      context.addIssue('is not JSON');
      return z.NEVER;
    }
  })
  .pipe(z.tuple([z.string(), z.string().min(1)]));
