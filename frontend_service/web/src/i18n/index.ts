import { type Dictionary, en } from './en.js';
import { es } from './es.js';

const dictionaries = { en, es };
type Language = keyof typeof dictionaries;

/** The first of the reader's languages that the page speaks. */
function choose(): { language: Language; locale: string } {
  for (const locale of navigator.languages) {
    const { language } = new Intl.Locale(locale);
    if (language === 'en' || language === 'es') return { language, locale };
  }
  return { language: 'en', locale: 'en' };
}

/** The language of the page, and the same with the reader's region, for dates. */
export const { language, locale } = choose();

/** All that the page says, in that language. */
export const t: Dictionary = dictionaries[language];
