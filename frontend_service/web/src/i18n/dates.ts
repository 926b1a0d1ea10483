import { locale, t } from './index.js';

const DAY_MS = 86_400_000;

const time = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(locale, { weekday: 'short' });
const shortDate = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
const shortDateWithYear = new Intl.DateTimeFormat(locale, {
  day: 'numeric',
  month: 'short',
  year: '2-digit',
});
const longDate = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
const longDateWithYear = new Intl.DateTimeFormat(locale, { dateStyle: 'long' });
const complete = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'short' });

/** The day on which something was, as the reader's calendar has it: equal for the same day. */
export const dayOf = (date: Date) => new Date(date).setHours(0, 0, 0, 0);

/** How many days ago that was; summer time makes some days shorter. */
const daysAgo = (date: Date, now: number) => Math.round((dayOf(new Date(now)) - dayOf(date)) / DAY_MS);

const isThisYear = (date: Date, now: number) => date.getFullYear() === new Date(now).getFullYear();

/** As short as it can be and be clear: the time today, the weekday this week, the date before that. */
export function formatShort(date: Date, now: number): string {
  const days = daysAgo(date, now);
  if (days <= 0) return time.format(date);
  if (days === 1) return t.yesterday;
  if (days < 7) return weekday.format(date);
  return (isThisYear(date, now) ? shortDate : shortDateWithYear).format(date);
}

/** The day, above the messages of that day. */
export function formatDay(date: Date, now: number): string {
  const days = daysAgo(date, now);
  if (days === 0) return t.today;
  if (days === 1) return t.yesterday;
  return (isThisYear(date, now) ? longDate : longDateWithYear).format(date);
}

export const formatTime = (date: Date) => time.format(date);
export const formatComplete = (date: Date) => complete.format(date);
