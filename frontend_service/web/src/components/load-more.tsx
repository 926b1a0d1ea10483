import { t } from '../i18n/index.js';
import type { MoreStatus, Pager } from '../state/pager.js';

const labels: Record<MoreStatus, string> = { idle: t.loadMore, loading: t.loading, failed: t.tryAgain };

/** At the end of a list that may have more pages. */
export function LoadMore<Page extends { next_page_token: string }>({ pager }: { pager: Pager<Page> }) {
  if (!pager.hasMore.value) return null;
  const status = pager.moreStatus.value;
  return (
    <button
      type="button"
      class="button load-more"
      aria-disabled={status === 'loading'}
      onClick={() => void pager.loadMore()}
    >
      {labels[status]}
    </button>
  );
}
