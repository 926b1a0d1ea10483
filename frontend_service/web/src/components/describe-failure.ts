import type { ApiError } from '../api/client.js';
import { translate } from '../i18n/index.js';

/** Says why a request failed, in the user's language where the page knows how. */
export function describeFailure({ status, message, isTransient }: ApiError): string {
  if (status === 429) return translate('tooBusy');
  return isTransient ? translate('unavailable') : message;
}
