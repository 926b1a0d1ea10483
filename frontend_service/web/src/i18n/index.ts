import { type Dictionary, en } from './en.js';
import { es } from './es.js';

const dictionaries = { en, es };
type Language = keyof typeof dictionaries;

/** The first of the user's languages that the page speaks, with the region that goes with it. */
export const { language, locale } = chooseLanguage(navigator.languages);
const dictionary: Dictionary = dictionaries[language];
const plurals = new Intl.PluralRules(language);

type TextKey = { [Key in keyof Dictionary]: Dictionary[Key] extends string ? Key : never }[keyof Dictionary];
type CountKey = Exclude<keyof Dictionary, TextKey>;

/** Says something, with `values` in the places that are left for them, in order. */
export function translate(key: TextKey, ...values: string[]): string {
  return fill(dictionary[key], values);
}

/** Says how many there are of something. */
export function translateCount(key: CountKey, count: number): string {
  const forms = dictionary[key];
  return fill(plurals.select(count) === 'one' ? forms.one : forms.other, [formatCount(count)]);
}

function chooseLanguage(wanted: readonly string[]): { language: Language; locale: string } {
  for (const tag of wanted) {
    const [primary = ''] = tag.toLowerCase().split('-');
    if (primary === 'en' || primary === 'es') return { language: primary, locale: tag };
  }
  return { language: 'en', locale: 'en' };
}

function fill(text: string, values: string[]): string {
  let next = 0;
  return text.replaceAll('{}', () => values[next++] ?? '');
}

const numbers = new Intl.NumberFormat(locale);
const times = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
const days = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
const shortDays = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
const moments = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'short' });

const DAY_MS = 24 * 60 * 60 * 1_000;

/** A number, as it is written in the user's language. */
export function formatCount(count: number): string {
  return numbers.format(count);
}

/** The time of the day. */
export function formatTime(timestamp: string): string {
  return times.format(new Date(timestamp));
}

/** The day, in words. */
export function formatDay(timestamp: string): string {
  const day = new Date(timestamp);
  if (isSameDay(day, new Date())) return translate('today');
  if (isSameDay(day, new Date(Date.now() - DAY_MS))) return translate('yesterday');
  return days.format(day);
}

/** The time if it was today, else the day: as short as it can be. */
export function formatShort(timestamp: string): string {
  const moment = new Date(timestamp);
  return isSameDay(moment, new Date()) ? times.format(moment) : shortDays.format(moment);
}

/** The whole moment, in words. */
export function formatMoment(timestamp: string): string {
  return moments.format(new Date(timestamp));
}

/** Whether two moments are of the same day, where the user is. */
export function isSameDay(one: Date, other: Date): boolean {
  return one.toDateString() === other.toDateString();
}
