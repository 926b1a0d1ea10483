import { t } from '../i18n/index.js';

/** At the end of a list that has more pages. */
export function LoadMore({ isLoading, onLoad }: { isLoading: boolean; onLoad: () => Promise<void> }) {
  return (
    <button type="button" class="button load-more" aria-disabled={isLoading} onClick={() => void onLoad()}>
      {isLoading ? t.loading : t.loadMore}
    </button>
  );
}
