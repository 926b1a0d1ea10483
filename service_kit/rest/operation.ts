import type { Request } from 'express';
import { z } from 'zod';
import type { ErrorKind } from '../errors.js';
import { parseInput } from '../input.js';

/**
 * What a REST door does under one method and path, which OpenAPI calls an operation. The schemas here check what comes in,
 * type what goes out, and describe both in `/openapi.json`.
 */
export interface Operation<Input extends z.ZodObject = z.ZodObject, Content = unknown> {
  /** What clients that are made from the description call it. */
  id: string;
  method: 'get' | 'post' | 'put' | 'delete';
  /** As Express has it, such as `/users/:email`. */
  path: `/${string}`;
  /** For people, in a line. */
  summary: string;
  /** For people, where a line does not tell all. */
  description?: string;
  /** An object of the parts that it reads: `params` of the path, `query`, `headers` and `body`. */
  input: Input;
  /** The largest body that is accepted; 100 KiB unless told. */
  bodyLimitBytes?: number;
  success: Answer<Content>;
  /** When it answers with which error, besides those that every operation can answer with. */
  refusals?: Partial<Record<ErrorKind, string>>;
  /** How its callers show who they are: one of the door's security schemes. Anyone may call it unless told. */
  security?: string;
}

/** The security scheme of operations that ask for a token. */
export const BEARER = 'bearer';

/** An answer that an operation can give. */
export interface Answer<Content = unknown> {
  status: 200 | 201 | 204 | 503;
  /** For people, in a line. */
  description: string;
  /** Sent as JSON, unless there is a media type. */
  body: z.ZodType<unknown, Content>;
  mediaType?: string;
}

/** An answer that is JSON already, which only has to be sent. */
export class JsonText {
  readonly bytes: Buffer;

  /** @param parts its pieces, one after the other */
  constructor(...parts: (string | Buffer)[]) {
    this.bytes = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  }
}

/** Reads nothing. */
export const noInput = z.object({});

/** Answers with a status alone. */
export function noContent(description: string) {
  return { status: 204 as const, description, body: z.void() };
}

/**
 * Reads what an operation is asked for.
 *
 * @throws {ServiceError} `invalid`, naming each field at fault.
 */
export function readInput<Input extends z.ZodObject>(
  { input }: Operation<Input>,
  { params, query, headers, body }: Request,
): z.output<Input> {
  return parseInput(input, { params, query, headers, body: body as unknown }, 1);
}
