import { isRedisUnavailable } from './redis/errors.js';

/** The ways in which a request can fail, how either door says so, and whether the same may succeed when it is tried again. */
export const errorKinds = {
  invalid: { http: 400, grpc: 'INVALID_ARGUMENT', isTransient: false },
  unauthenticated: { http: 401, grpc: 'UNAUTHENTICATED', isTransient: false },
  forbidden: { http: 403, grpc: 'PERMISSION_DENIED', isTransient: false },
  notFound: { http: 404, grpc: 'NOT_FOUND', isTransient: false },
  conflict: { http: 409, grpc: 'ALREADY_EXISTS', isTransient: false },
  mismatch: { http: 422, grpc: 'FAILED_PRECONDITION', isTransient: false },
  tooLarge: { http: 413, grpc: 'INVALID_ARGUMENT', isTransient: false },
  tooMany: { http: 429, grpc: 'RESOURCE_EXHAUSTED', isTransient: true },
  unavailable: { http: 503, grpc: 'UNAVAILABLE', isTransient: true },
  tooSlow: { http: 504, grpc: 'DEADLINE_EXCEEDED', isTransient: true },
  internal: { http: 500, grpc: 'INTERNAL', isTransient: false },
} as const;

export type ErrorKind = keyof typeof errorKinds;

/** The header, and metadata, by which both doors tell when the same may succeed, in seconds. */
export const RETRY_AFTER_HEADER = 'retry-after';

/** A failure that the caller is told about. Its message is for people: what is wrong, and what would be right. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  /** When the same may succeed, where that is known. */
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly kind: ErrorKind,
    message: string,
    options?: ErrorOptions & { retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }

  /** The same in whole seconds, as both doors tell it. */
  get retryAfterSeconds(): number | undefined {
    return this.retryAfterMs === undefined ? undefined : toSeconds(this.retryAfterMs);
  }
}

/** Whole seconds, after which a time is over. */
export function toSeconds(durationMs: number): number {
  return Math.max(1, Math.ceil(durationMs / 1_000));
}

/** Reads when the same may succeed, in milliseconds, of what another service tells in seconds. */
export function readRetryAfter(seconds: string | null | undefined): number | undefined {
  return seconds && /^\d{1,9}$/.test(seconds) ? Number(seconds) * 1_000 : undefined;
}

/** Whether the same may succeed when it is tried again. */
export function isTransient(thrown: unknown): boolean {
  return thrown instanceof ServiceError && errorKinds[thrown.kind].isTransient;
}

/** What a caller is told while Redis is away. */
export function redisUnavailable(cause?: unknown): ServiceError {
  return new ServiceError('unavailable', 'Redis is not available at the moment; try again shortly', {
    cause,
  });
}

/**
 * Turns whatever was thrown into what the caller may see. Anything but a ServiceError or an absent Redis
 * becomes one fixed message, with what was thrown as its `cause`, for the log.
 */
export function toServiceError(thrown: unknown): ServiceError {
  if (thrown instanceof ServiceError) return thrown;
  if (isRedisUnavailable(thrown)) return redisUnavailable(thrown);
  return new ServiceError('internal', 'Something went wrong on our side', { cause: thrown });
}
