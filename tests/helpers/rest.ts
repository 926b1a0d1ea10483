import supertest, { type Test } from 'supertest';
import { inject } from 'vitest';
import { AnswerChecker, type methods } from './api-description.js';
import { asksForTokens, restCredentialsFor } from './credentials.js';
import type { ProcessName } from './suite.js';

type Method = (typeof methods)[number];

/** Asks one REST door. */
export type RestClient = Record<Method | 'head', (path: string) => Test>;

const checkers = new Map<ProcessName, AnswerChecker>();

/** Makes a client of a REST door, by whom each answer is checked against what the door says of itself. */
export function restClient(name: ProcessName, address: string): RestClient {
  const client = supertest(`http://${address}`);
  const checked = (method: Method) => (path: string) =>
    showing(name, path, client[method](path)).expect((answer) => checkerOf(name).check(method, path, answer));
  return {
    get: checked('get'),
    post: checked('post'),
    put: checked('put'),
    patch: checked('patch'),
    delete: checked('delete'),
    // Answered like a GET, without the body.
    head: (path) => showing(name, path, client.head(path)),
  };
}

/** Has a request show who makes it, unless it does so itself. What is sent is known once it ends. */
function showing(name: ProcessName, path: string, request: Test): Test {
  if (!asksForTokens) return request;
  const end = request.end.bind(request);
  request.end = (callback) => {
    const body: unknown = Reflect.get(request, '_data');
    if (!request.get('authorization')) request.set(restCredentialsFor(name, path, body));
    return end(callback);
  };
  return request;
}

function checkerOf(name: ProcessName): AnswerChecker {
  const known = checkers.get(name);
  if (known) return known;
  const description = inject('apiDescriptions')[name];
  if (!description) throw new Error(`${name} has given no /openapi.json`);
  const checker = new AnswerChecker(description);
  checkers.set(name, checker);
  return checker;
}
