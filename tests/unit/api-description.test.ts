import { expect, it } from 'vitest';
import { AnswerChecker, apiDescription, type GivenAnswer } from '../helpers/api-description.js';

const json = (schema: object) => ({ 'application/json': { schema } });
const user = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
const error = { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] };

const checker = new AnswerChecker(
  apiDescription.parse({
    openapi: '3.1.1',
    paths: {
      '/users/{email}': {
        get: {
          operationId: 'getUser',
          responses: {
            200: { description: 'The user', content: json(user) },
            400: { $ref: '#/components/responses/Invalid' },
            429: { headers: { 'Retry-After': {} }, content: json(error) },
          },
        },
        delete: { operationId: 'deleteUser', responses: { 204: { description: 'Gone' } } },
      },
      '/users/all': {
        get: { operationId: 'countUsers', responses: { 200: { content: json({ type: 'integer' }) } } },
      },
    },
    components: {
      schemas: { Error: error, Problem: error },
      responses: { Invalid: { description: 'Invalid', content: json(error) } },
    },
  }),
);

function answer(status: number, body?: unknown, headers: Record<string, string> = {}): GivenAnswer {
  const text = body === undefined ? '' : JSON.stringify(body);
  const contentType = body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' };
  return { status, text, headers: { 'x-request-id': '1', ...contentType, ...headers } };
}

const check = (method: string, path: string, given: GivenAnswer) => () => checker.check(method, path, given);

it.each([
  ['get', '/users/alice', answer(200, { name: 'Alice' })],
  ['get', '/users/alice?page=1', answer(400, { message: 'no' })],
  ['get', '/users/alice', answer(429, { message: 'no' }, { 'retry-after': '1' })],
  ['get', '/users/all', answer(200, 7)],
  ['delete', '/users/alice', answer(204)],
  ['get', '/nothing', answer(404, { message: 'no' })],
  ['get', '/page.css', answer(200, '', { 'content-type': 'text/css' })],
])('finds nothing wrong with %s %s', (method, path, given) => {
  expect(check(method, path, given)).not.toThrow();
});

it.each([
  ['get', '/users/alice', answer(200, {}), /must have required property 'name'/],
  ['get', '/users/alice', answer(200, { name: 7 }), /name must be string/],
  ['get', '/users/alice', answer(200, { name: 'Alice', age: 7 }), /must NOT have additional properties/],
  ['get', '/users/alice', answer(400, { message: 7 }), /message must be string/],
  ['get', '/users/alice', answer(429, { message: 'no' }), /Retry-After is missing/],
  ['get', '/users/alice', answer(409, { message: 'no' }), /no such status/],
  ['get', '/users/alice', answer(200, '', { 'content-type': 'text/html' }), /no text\/html/],
  ['get', '/users/alice', answer(200, { name: 'Alice' }, { 'x-request-id': '' }), /X-Request-Id/],
  ['get', '/users/all', answer(200, { name: 'Alice' }), /must be integer/],
  ['delete', '/users/alice', answer(204, {}), /no body/],
  ['post', '/users/alice', answer(200, {}), /no such operation/],
  ['get', '/nothing', answer(200, {}), /no such operation/],
  ['get', '/nothing', answer(404, { problem: 'no' }), /must have required property/],
])('finds what is wrong with %s %s %#', (method, path, given, fault) => {
  expect(check(method, path, given)).toThrow(fault);
});
