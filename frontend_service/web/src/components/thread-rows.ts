import { dayOf } from '../i18n/dates.js';
import type { ThreadItem } from '../state/thread.js';

/** Messages of one person that are not further apart look like one. */
const GROUP_MS = 300_000;

export type ThreadRow =
  | { kind: 'day'; key: string; date: Date }
  | {
      kind: 'message';
      key: string;
      item: ThreadItem;
      date: Date;
      isGroupStart: boolean;
      isGroupEnd: boolean;
    };

/** Puts the days between the messages of a thread, and the messages into groups. */
export function toRows(items: readonly ThreadItem[]): ThreadRow[] {
  const rows: ThreadRow[] = [];
  items.forEach((item, index) => {
    const date = new Date(item.timestamp);
    const isGroupStart = !belongTogether(items[index - 1], item);
    const isGroupEnd = !belongTogether(item, items[index + 1]);
    if (!isSameDay(items[index - 1], item)) rows.push({ kind: 'day', key: `day ${dayOf(date)}`, date });
    rows.push({ kind: 'message', key: item.key, item, date, isGroupStart, isGroupEnd });
  });
  return rows;
}

function isSameDay(one: ThreadItem | undefined, other: ThreadItem): boolean {
  return one !== undefined && dayOf(new Date(one.timestamp)) === dayOf(new Date(other.timestamp));
}

function belongTogether(one: ThreadItem | undefined, other: ThreadItem | undefined): boolean {
  if (!one || !other || one.isMine !== other.isMine) return false;
  if (one.state !== 'sent' || other.state !== 'sent' || !isSameDay(one, other)) return false;
  return Date.parse(other.timestamp) - Date.parse(one.timestamp) < GROUP_MS;
}
