import { STATUS_CODES } from 'node:http';
import type { ErrorRequestHandler } from 'express';
import { z } from 'zod';
import { errorKinds, isTransient, RETRY_AFTER_HEADER, ServiceError, toServiceError } from '../errors.js';

export const PROBLEM_TYPE = 'application/problem+json';

/** When the same may succeed, unless something else is known: queues are short, and what is away is tried again every second. */
const RETRY_AFTER_SECONDS = 1;

/** How an answer says what is wrong. */
export const errorAnswer = z
  .object({
    success: z.literal(false),
    message: z.string().meta({ description: 'What is wrong, and what would be right' }),
  })
  .meta({ id: 'Error' });

/** How it says so to who would rather have a problem (RFC 9457). */
export const problemAnswer = z
  .object({
    title: z.string().meta({ description: "The status, in HTTP's words" }),
    status: z.int(),
    detail: z.string().meta({ description: 'What is wrong, and what would be right' }),
  })
  .meta({ id: 'Problem' });

/**
 * The one place that turns an error into an HTTP answer: as all answers are, or as a problem where the caller would rather
 * have one.
 */
export const answerError: ErrorRequestHandler = (thrown: unknown, request, response, next) => {
  const error = readingError(thrown) ?? toServiceError(thrown);
  if (error.kind === 'internal') response.locals.fault = error.cause ?? error;
  if (response.headersSent) {
    next(thrown);
    return;
  }
  const status = errorKinds[error.kind].http;
  response.status(status);
  if (isTransient(error))
    response.setHeader(RETRY_AFTER_HEADER, error.retryAfterSeconds ?? RETRY_AFTER_SECONDS);
  if (request.accepts('application/json', PROBLEM_TYPE) === PROBLEM_TYPE) {
    const problem: z.input<typeof problemAnswer> = {
      title: STATUS_CODES[status] ?? '',
      status,
      detail: error.message,
    };
    response.type(PROBLEM_TYPE).json(problem);
  } else {
    const answer: z.input<typeof errorAnswer> = { success: false, message: error.message };
    response.json(answer);
  }
};

/** What Express and its body parser throw about a request that can't be read carries a 4xx status. */
function readingError(thrown: unknown): ServiceError | undefined {
  if (thrown instanceof ServiceError || !(thrown instanceof Error) || !('status' in thrown)) return undefined;
  if (typeof thrown.status !== 'number' || thrown.status < 400 || thrown.status > 499) return undefined;
  if (thrown.status === 413) {
    const limit = 'limit' in thrown ? `: at most ${String(thrown.limit)} bytes are accepted` : '';
    return new ServiceError('tooLarge', `The body is too large${limit}`);
  }
  if ('type' in thrown && thrown.type === 'entity.parse.failed') {
    return new ServiceError('invalid', 'The body is not valid JSON');
  }
  return new ServiceError(
    'invalid',
    'The request can not be read: check its path, content encoding and charset',
  );
}
