/** Chooses the form of a word that goes with a count. Both languages get along with two. */
export function plural(language: string, forms: { one: string; other: string }): (count: number) => string {
  const rules = new Intl.PluralRules(language);
  return (count) => (rules.select(count) === 'one' ? forms.one : forms.other);
}
