/** Orders the server's ids, decimal numbers that may be too long for a `number`. */
export function compareIds(one: string, other: string): number {
  if (one.length !== other.length) return one.length - other.length;
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/** A new key that nobody else chooses. */
export function newKey(): string {
  // `crypto.randomUUID` is missing where the page comes by plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
