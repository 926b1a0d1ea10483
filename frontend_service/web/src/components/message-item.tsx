import { formatComplete, formatTime } from '../i18n/dates.js';
import { describeError } from '../i18n/describe-error.js';
import { t } from '../i18n/index.js';
import type { Outbox } from '../state/outbox.js';
import type { ThreadItem } from '../state/thread.js';
import { MessageText } from './message-text.js';
import type { ThreadRow } from './thread-rows.js';

type MessageRow = Extract<ThreadRow, { kind: 'message' }>;

/** One message of a thread, and what has become of it. */
export function MessageItem({ row, outbox }: { row: MessageRow; outbox: Outbox }) {
  const { item, date, isGroupStart, isGroupEnd } = row;
  const { state } = item;
  return (
    <li
      class="message"
      data-mine={item.isMine}
      data-message-id={item.id}
      // One that waits to be tried again is on its way as well.
      data-state={state === 'waiting' ? 'pending' : state}
      data-group-start={isGroupStart}
      data-group-end={isGroupEnd}
    >
      {item.isMine && isGroupStart && <span class="visually-hidden">{t.you}</span>}
      <MessageText content={item.content} />
      {state === 'failed' && (
        <p class="message-problem">
          {t.notSent} {describeError(item.error, { 404: t.noSuchUser })}
        </p>
      )}
      {state === 'waiting' && <p class="message-note">{t.waiting}</p>}
      {(state === 'failed' || state === 'waiting') && <MessageActions item={item} outbox={outbox} />}
      {state === 'pending' && <p class="message-note">{t.sending}</p>}
      {state === 'sent' && (
        <time
          class={isGroupEnd ? 'message-note' : 'visually-hidden'}
          dateTime={item.timestamp}
          title={formatComplete(date)}
        >
          {formatTime(date)}
        </time>
      )}
    </li>
  );
}

function MessageActions({ item, outbox }: { item: ThreadItem; outbox: Outbox }) {
  return (
    <div class="message-actions">
      <button type="button" class="button small" onClick={() => outbox.retry(item.key)}>
        {t.tryAgain}
      </button>
      {item.state === 'failed' && (
        <button type="button" class="button small quiet" onClick={() => outbox.discard(item.key)}>
          {t.discard}
        </button>
      )}
    </div>
  );
}
