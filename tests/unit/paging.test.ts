import {
  decodePageToken,
  encodePageToken,
  MAX_PAGE_SIZE,
  pageSize,
  pageSizeText,
} from '@messaging/service_kit/paging';
import { expect, test } from 'vitest';

const list = ['messages', 'alice@example.com'];

test('a token gives back its position for the same list', () => {
  expect(decodePageToken(list, encodePageToken(list, '42'))).toBe('42');
  expect(decodePageToken(list, encodePageToken(list, 'ünï:code'))).toBe('ünï:code');
});

test('no token, or an empty one, asks for the first page', () => {
  expect(decodePageToken(list, undefined)).toBeUndefined();
  expect(decodePageToken(list, '')).toBeUndefined();
});

test.each([
  ['of another list', encodePageToken(['messages', 'bob@example.com'], '42')],
  ['of a list with the same words, cut differently', encodePageToken(['messagesalice@example.com'], '42')],
  ['that is no token', 'abc'],
  ['that was cut', encodePageToken(list, '42').slice(0, -3)],
  ['that holds other JSON', Buffer.from('{"a":1}').toString('base64url')],
])('a token %s is invalid', (_, token) => {
  expect(() => decodePageToken(list, token)).toThrowError(
    expect.objectContaining({ kind: 'invalid', message: expect.stringContaining('page_token') }),
  );
});

test('a page size is clamped above the maximum, and 0 means unset', () => {
  expect(pageSize.parse(7)).toBe(7);
  expect(pageSize.parse(MAX_PAGE_SIZE + 1)).toBe(MAX_PAGE_SIZE);
  expect(pageSize.parse(0)).toBeUndefined();
  expect(pageSize.parse(undefined)).toBeUndefined();
  expect(pageSizeText.parse('7')).toBe(7);
  expect(pageSizeText.parse('99999999999')).toBe(MAX_PAGE_SIZE);
  expect(pageSizeText.parse('')).toBeUndefined();
});

test.each(['-1', '1.5', 'many', '-'])('the page size %j is refused', (text) => {
  expect(pageSizeText.safeParse(text).success).toBe(false);
});
