import { ApiError } from '../api/request.js';
import { t } from './index.js';

/** What to tell the reader of what went wrong; `known` are the statuses that mean something where it happened. */
export function describeError(error: unknown, known: Record<number, string> = {}): string {
  if (!(error instanceof ApiError)) return t.unavailable;
  const { status, message, retryAfterSeconds } = error;
  const knownText = known[status];
  if (knownText !== undefined) return knownText;
  if (status === 0) return t.unreachable;
  if (status === 429) return t.tooManyRequests(retryAfterSeconds);
  // The server says what is wrong with what it was given; of its own trouble there is nothing to tell.
  return status < 500 && message !== '' ? message : t.unavailable;
}
