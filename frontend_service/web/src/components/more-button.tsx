import { translate } from '../i18n/index.js';
import type { LoadState } from '../state/loading.js';

/** Asks for what follows in a list, where something does. */
export function MoreButton({ state, onClick }: { state: LoadState | undefined; onClick: () => void }) {
  if (state === undefined) return null;
  const labels = { ready: 'loadMore', loading: 'loading', failed: 'tryAgain' } as const;
  return (
    <button type="button" class="button text more" disabled={state === 'loading'} onClick={onClick}>
      {translate(labels[state])}
    </button>
  );
}
