import { insertSections } from '#bench/document';
import { expect, test } from 'vitest';

const TEXT = `# Capacity

<!-- chain: begin -->

old

<!-- chain: end -->

Prose.

<!-- plan: begin -->
<!-- plan: end -->
`;

test('a table replaces what is between its marks, and nothing else', () => {
  const once = insertSections(TEXT, { chain: '| new |', plan: '| first |' }, 'a.md');
  expect(once).toContain('<!-- chain: begin -->\n\n| new |\n\n<!-- chain: end -->\n\nProse.\n');
  expect(once).toContain('<!-- plan: begin -->\n\n| first |\n\n<!-- plan: end -->');
  expect(once).not.toContain('old');
  expect(insertSections(once, { chain: '| new |', plan: '| first |' }, 'a.md')).toBe(once);
});

test('a place that is missing is named', () => {
  expect(() => insertSections(TEXT, { watchers: '' }, 'a.md')).toThrow(/a\.md has no place for "watchers"/);
});
