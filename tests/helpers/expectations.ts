import { status } from '@grpc/grpc-js';
import type { Response } from 'supertest';
import { expect } from 'vitest';
import { z } from 'zod';

/** An instant as ISO 8601 in UTC. */
export const utcTimestamp = z.iso.datetime();

const jsonText = z.string().transform((text): unknown => JSON.parse(text));

/** Reads JSON out of Redis. */
export function parseJson<Schema extends z.ZodType>(
  schema: Schema,
  text: string | null | undefined,
): z.output<Schema> {
  return schema.parse(jsonText.parse(text));
}

/** Expects a JSON answer that says what is wrong, and no more than that. */
export function expectRefusal(response: Response, code: number, message = /\S/): void {
  expect(response.status, response.text).toBe(code);
  expect(response.headers['content-type']).toMatch(/^application\/json\b/);
  expect(response.headers).not.toHaveProperty('x-powered-by');
  expect(response.body).toStrictEqual({ success: false, message: expect.stringMatching(message) });
  expect(response.text).not.toMatch(/<\w|node_modules|\.[jt]s:\d/);
}

/** Expects a call to be refused as INVALID_ARGUMENT, with what is wrong in its details. */
export async function expectInvalidArgument(call: Promise<unknown>, details: RegExp): Promise<void> {
  await expect(call).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringMatching(details),
  });
}

/** Expects a call to succeed, now or within seconds. */
export function expectSoon<Value>(ask: () => Promise<Value>) {
  return expect.poll(ask, { timeout: 20_000 });
}
