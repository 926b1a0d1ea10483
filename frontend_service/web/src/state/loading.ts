import { ApiError } from '../api/client.js';
import { endSession } from './session.js';

/** How far a list has come. */
export type LoadState = 'loading' | 'ready' | 'failed';

/** Takes note of a request that failed: where that is because the session is over, it ends here, too. */
export function noteFailure(error: unknown): ApiError {
  if (!(error instanceof ApiError)) {
    // Nothing that a person could do something about: it is shown as any failure, and told to whoever debugs this.
    reportError(error);
    return new ApiError(500, String(error));
  }
  if (error.status === 401) endSession('expired');
  return error;
}
