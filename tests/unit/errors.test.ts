import { status } from '@grpc/grpc-js';
import { errorKinds, ServiceError, toServiceError } from '@messaging/service_kit/errors';
import { expect, test } from 'vitest';

test('every kind of error has the status that both doors owe', () => {
  const codes = Object.fromEntries(
    Object.entries(errorKinds).map(([kind, { http, grpc }]) => [kind, [http, status[grpc]]]),
  );
  expect(codes).toEqual({
    invalid: [400, status.INVALID_ARGUMENT],
    unauthenticated: [401, status.UNAUTHENTICATED],
    forbidden: [403, status.PERMISSION_DENIED],
    notFound: [404, status.NOT_FOUND],
    conflict: [409, status.ALREADY_EXISTS],
    mismatch: [422, status.FAILED_PRECONDITION],
    tooLarge: [413, status.INVALID_ARGUMENT],
    tooMany: [429, status.RESOURCE_EXHAUSTED],
    unavailable: [503, status.UNAVAILABLE],
    tooSlow: [504, status.DEADLINE_EXCEEDED],
    internal: [500, status.INTERNAL],
  });
});

function replyError(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

test.each([
  replyError("OOM command not allowed when used memory > 'maxmemory'."),
  replyError("READONLY You can't write against a read only replica."),
  replyError('LOADING Redis is loading the dataset in memory'),
  replyError('MISCONF Redis is configured to save RDB snapshots'),
  new Error('Command timed out'),
  new Error('Command aborted due to connection close'),
  new Error('Connection is closed.'),
  new Error("Stream isn't writeable and enableOfflineQueue options is false"),
  new Error('Reached the max retries per request limit (which is 0).'),
])('a Redis that is away or refuses is unavailable: %s', (thrown) => {
  expect(toServiceError(thrown)).toMatchObject({ kind: 'unavailable', cause: thrown });
});

test.each([
  replyError('WRONGTYPE Operation against a key'),
  new TypeError('x is not a function'),
  'a string',
])('anything else is internal, and says nothing: %s', (thrown) => {
  const error = toServiceError(thrown);
  expect(error).toMatchObject({ kind: 'internal', cause: thrown });
  expect(error.message).toBe('Something went wrong on our side');
});

test('a ServiceError stays as it is', () => {
  const error = new ServiceError('notFound', 'There is no user with this email');
  expect(toServiceError(error)).toBe(error);
});
