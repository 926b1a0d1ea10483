import { useCallback, useMemo, useRef } from 'preact/hooks';
import { formatDay } from '../i18n/dates.js';
import { t } from '../i18n/index.js';
import { now } from '../state/environment.js';
import type { Thread } from '../state/thread.js';
import { Icon } from './icon.js';
import { MessageItem } from './message-item.js';
import { Empty, LoadFailed } from './notice.js';
import { Skeleton } from './skeleton.js';
import { toRows } from './thread-rows.js';
import { useHeld } from './use-held.js';
import { useLogScroll } from './use-log-scroll.js';

/** So long after history was added, screen readers have passed it over. */
const QUIET_MS = 500;

/** The messages of a conversation. */
export function MessageLog({ thread }: { thread: Thread }) {
  const log = useRef<HTMLDivElement>(null);
  const items = thread.items.value;
  const status = thread.pager.loader.status.value;
  const olderStatus = thread.pager.moreStatus.value;
  const rows = useMemo(() => toRows(items), [items]);
  const isQuiet = !useHeld(status === 'ready' && olderStatus !== 'loading', QUIET_MS);

  const loadOlder = useCallback(() => {
    // What has failed waits for the button.
    if (thread.pager.moreStatus.peek() === 'idle') void thread.pager.loadMore();
  }, [thread]);
  const { hasNews, isAtEnd, onScroll, scrollToEnd } = useLogScroll(log, items, loadOlder);

  return (
    <div class="log-frame">
      <div
        ref={log}
        class="log"
        role="log"
        aria-label={t.conversationWith(thread.email)}
        // Only what is new is read out.
        aria-live={isQuiet ? 'off' : 'polite'}
        tabIndex={0}
        onScroll={onScroll}
      >
        <LogStart thread={thread} />
        <ol>
          {rows.map((row) =>
            row.kind === 'day' ? (
              <li key={row.key} class="day">
                <span>{formatDay(row.date, now.value)}</span>
              </li>
            ) : (
              <MessageItem key={row.key} row={row} outbox={thread.outbox} />
            ),
          )}
        </ol>
        {status === 'ready' && items.length === 0 && (
          <Empty title={t.noMessages}>{t.noMessagesHint(thread.email)}</Empty>
        )}
      </div>
      {!isAtEnd && (
        <button
          type="button"
          class="button to-end"
          data-news={hasNews}
          aria-label={hasNews ? t.newMessages : t.toTheEnd}
          onClick={scrollToEnd}
        >
          {hasNews && <span>{t.newMessages}</span>}
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}

/** Above the oldest message: whether there are older ones, or why there are none. */
function LogStart({ thread }: { thread: Thread }) {
  const status = thread.pager.loader.status.value;
  if (status === 'failed') return <LoadFailed text={t.messagesFailed} onRetry={thread.pager.loader.retry} />;
  if (status === 'loading') return <Skeleton kind="bubble" count={5} />;
  if (thread.pager.moreStatus.value === 'failed') {
    return <LoadFailed text={t.olderFailed} onRetry={() => void thread.pager.loadMore()} />;
  }
  if (!thread.pager.hasMore.value) {
    return thread.items.value.length > 0 ? <p class="log-start">{t.beginning}</p> : null;
  }
  return (
    <p class="log-start">
      <button
        type="button"
        class="button quiet"
        aria-disabled={thread.pager.moreStatus.value === 'loading'}
        onClick={() => void thread.pager.loadMore()}
      >
        {thread.pager.moreStatus.value === 'loading' ? t.loading : t.loadOlder}
      </button>
    </p>
  );
}
