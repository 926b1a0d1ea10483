import type { ZodMiniType } from 'zod/mini';
import { failureSchema } from './schemas.js';

/** Longer than the server takes to give up on a service of its own. */
const TIMEOUT_MS = 20_000;

/** An answer that is not what was asked for. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  /**
   * @param status the HTTP status; 0 where there was no answer at all
   * @param retryAfterSeconds when the same may succeed, where the server says so; else 0
   */
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfterSeconds = 0,
  ) {
    super(message);
  }

  /** Whether the same request may well succeed later. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

let reportSessionEnd: () => void = () => undefined;

/** Has `listener` called whenever the server says that there is no session any more. */
export function onSessionEnd(listener: () => void): void {
  reportSessionEnd = listener;
}

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  body?: unknown;
  headers?: Record<string, string>;
  /** Whether a 401 is an answer to this very request, and says nothing about the session. */
  isAboutSession?: boolean;
}

/**
 * Asks the server.
 *
 * @throws {ApiError} whatever goes wrong, also when the answer is not of the expected shape.
 */
export async function request<Answer>(
  path: string,
  schema: ZodMiniType<Answer>,
  options: RequestOptions = {},
): Promise<Answer> {
  const response = await ask(path, options);
  const parsed = schema.safeParse(await readJson(response));
  if (!parsed.success) throw new ApiError(502, 'The answer is not one that this page understands');
  return parsed.data;
}

/** Asks the server where the answer has no content. @throws {ApiError} */
export async function command(path: string, options: RequestOptions): Promise<void> {
  await ask(path, options);
}

async function ask(path: string, options: RequestOptions): Promise<Response> {
  const { method = 'GET', body, headers, isAboutSession = false } = options;
  let response: Response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new ApiError(0, String(error));
  }
  if (response.ok) return response;
  if (response.status === 401 && !isAboutSession) reportSessionEnd();
  const failure = failureSchema.safeParse(await readJson(response).catch(() => undefined));
  const retryAfterSeconds = Number(response.headers.get('Retry-After') ?? 0) || 0;
  throw new ApiError(response.status, failure.data?.message ?? response.statusText, retryAfterSeconds);
}

async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw new ApiError(0, String(error));
  }
}
