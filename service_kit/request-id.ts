import { randomBytes } from 'node:crypto';

/** The header, and the metadata, in which a request id travels. */
export const REQUEST_ID_HEADER = 'x-request-id';

/** Neither a log nor a terminal can take harm from it, and it holds no address. */
const SANE = /^[\w.:=+/-]{1,128}$/;

const prefix = randomBytes(6).toString('hex');
let count = 0;

/** Makes an id that no other request of the suite has. */
export function newRequestId(): string {
  return `${prefix}-${(++count).toString(36)}`;
}

/** The id that came with a request; undefined where none did that could be written into a log. */
export function readRequestId(given: unknown): string | undefined {
  return typeof given === 'string' && SANE.test(given) ? given : undefined;
}
