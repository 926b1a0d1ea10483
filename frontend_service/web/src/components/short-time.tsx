import { formatComplete, formatShort } from '../i18n/dates.js';
import { now } from '../state/environment.js';

/** When something was, beside an item of a list. */
export function ShortTime({ timestamp }: { timestamp: string }) {
  const date = new Date(timestamp);
  return (
    <time class="short-time" dateTime={timestamp} title={formatComplete(date)}>
      {formatShort(date, now.value)}
    </time>
  );
}
