import { translate } from '../i18n/index.js';

/** Something is on its way. */
export function Loading() {
  return (
    <p class="loading" role="status">
      {translate('loading')}
    </p>
  );
}

/** Something could not be had; it can be asked for again. */
export function Failed({ message, onRetry }: { message?: string; onRetry: () => void }) {
  return (
    <div class="failed" role="alert">
      <p>{message ?? translate('couldNotLoad')}</p>
      <button type="button" class="button" onClick={onRetry}>
        {translate('tryAgain')}
      </button>
    </div>
  );
}
