import { Agent, request } from 'node:http';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { AnswerChecker, apiDescription, methods } from '../helpers/api-description.js';
import { connect } from '../helpers/clients.js';
import { knownEmails, longText, text, tryMany } from '../helpers/fuzz.js';
import { signIn } from '../helpers/inbox.js';
import { Suite } from '../helpers/suite.js';

const PASSWORD = 'correct horse';

let suite: Suite;
let cookie: string;
const agent = new Agent({ keepAlive: true });

beforeAll(async () => {
  suite = await Suite.start();
  await suite.waitUntilReady();
  const { rest, close } = connect(suite.addresses, suite.redis);
  for (const email of knownEmails) {
    await rest.users().post('/users').send({ email, password: PASSWORD, name: 'Name' }).expect(201);
  }
  close();
  const [email = ''] = knownEmails;
  cookie = await signIn(suite.addresses.frontend_service_api, { email, password: PASSWORD, name: 'Name' });
});

afterAll(async () => {
  agent.destroy();
  await suite.stop();
});

/** What the generator needs to know of an operation. */
const operationSchema = z.object({
  parameters: z.array(z.object({ in: z.string(), name: z.string() })).default([]),
  requestBody: z
    .object({ content: z.object({ 'application/json': z.object({ schema: z.unknown() }) }) })
    .optional(),
});
const objectSchema = z.object({ properties: z.record(z.string(), z.unknown()) });

interface Question {
  method: string;
  /** Encoded, with the query. */
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
}

const MALFORMED = ['%', '%zz', '%E0%A4%A', '%00', '..', '%2e%2e', '%2F'];

function encode(value: string): string {
  return [...Buffer.from(value)]
    .map((byte) =>
      /[\w.-]/.test(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).padStart(2, '0')}`,
    )
    .join('');
}

const encoded = fc.oneof(
  { weight: 9, arbitrary: text.map(encode) },
  { weight: 1, arbitrary: fc.constantFrom(...MALFORMED) },
);

/** A value of a field: of the type that it should have, or of another. */
const fieldValue = fc.oneof(
  { weight: 20, arbitrary: text },
  { weight: 1, arbitrary: longText },
  { weight: 5, arbitrary: fc.boolean() },
  { weight: 5, arbitrary: fc.array(text, { maxLength: 3 }) },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
);

const headerText = fc.string({
  unit: fc
    .oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0xa0, max: 0xff }))
    .map((code) => String.fromCharCode(code)),
  maxLength: 200,
});

const headers = fc.record(
  {
    accept: fc.oneof(fc.constantFrom('*/*', 'text/html', 'application/problem+json', ';q=x'), headerText),
    'content-type': fc.constantFrom(
      'application/json',
      'application/json; charset=utf-16',
      'application/json; charset=x',
      'application/x-www-form-urlencoded',
      'text/plain',
      ';',
    ),
    'content-encoding': fc.constantFrom('gzip', 'br', 'deflate', 'identity', 'x'),
    'idempotency-key': headerText,
    'x-request-id': headerText,
    traceparent: headerText,
    'last-event-id': headerText,
    origin: fc.constantFrom('null', 'http://elsewhere.example', ':', 'file://'),
    'sec-fetch-site': fc.constantFrom('same-origin', 'cross-site', '?'),
    cookie: fc.oneof(fc.constantFrom('inbox_session=', 'inbox_session=eyJhbGciOiJub25lIn0.e30.'), headerText),
  },
  { requiredKeys: [] },
);

/** Questions about one operation: most of a form that gets as far as its handler. */
function questionsAbout(path: string, method: string, operation: unknown): fc.Arbitrary<Question> {
  const { parameters, requestBody } = operationSchema.parse(operation);
  const namesIn = (place: string) => parameters.filter((one) => one.in === place).map(({ name }) => name);
  const bodySchema = objectSchema.safeParse(requestBody?.content['application/json'].schema).data;
  const bodyFields = Object.fromEntries(
    Object.keys(bodySchema?.properties ?? { email: {} }).map((name) => [name, fieldValue]),
  );
  const body = fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .record(bodyFields, { requiredKeys: Object.keys(bodyFields).slice(0, 2) })
        .map((value) => JSON.stringify(value)),
    },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
  // Most have what they should, once; some lack it, repeat it, or have more.
  const known = fc.tuple(
    ...namesIn('query').map((name) => fc.option(fc.tuple(fc.constant(name), encoded), { freq: 8 })),
  );
  const more = fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.tuple(fc.constantFrom(...namesIn('query'), 'unknown'), encoded), {
        maxLength: 3,
      }),
    },
  );
  const query = fc
    .tuple(known, more)
    .map(([pairs, others]) => [...pairs.filter((pair) => pair !== null), ...others]);
  return fc
    .record({
      params: fc.tuple(...namesIn('path').map(() => encoded)),
      query,
      body,
      headers: fc.oneof(
        { weight: 3, arbitrary: fc.constant({ 'content-type': 'application/json' }) },
        { weight: 1, arbitrary: headers },
      ),
      isSignedIn: fc.boolean(),
    })
    .map(({ params, query: pairs, body: content, headers: extra, isSignedIn }) => {
      let next = 0;
      const filled = path.replace(/\{\w+\}/g, () => params[next++] ?? '');
      const search = pairs.map(([name, value]) => `${name}=${value}`).join('&');
      return {
        method,
        path: search === '' ? filled : `${filled}?${search}`,
        headers: { ...extra, ...(isSignedIn && { cookie }) },
        body: content,
      };
    });
}

/** Asks, and resolves to the answer; of one that does not end, to its beginning. */
function ask(address: string, { method, path, headers: extra, body = '' }: Question) {
  const [host, port] = address.split(':');
  // Node.js sends the body of a GET without saying how long it is.
  const sent = { ...extra, 'content-length': String(Buffer.byteLength(body)) };
  return new Promise<{ status: number; headers: Record<string, string>; text: string }>((resolve, reject) => {
    const asked = request({ agent, host, port, method, path, headers: sent }, (response) => {
      const answered = {
        status: response.statusCode ?? 0,
        headers: z.record(z.string(), z.coerce.string()).parse(response.headers),
      };
      if (answered.headers['content-type']?.startsWith('text/event-stream')) {
        response.destroy();
        resolve({ ...answered, text: '' });
        return;
      }
      let received = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (received += chunk));
      response.on('end', () => resolve({ ...answered, text: received }));
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

test.each([
  'user_service_api',
  'message_service_api',
  'notification_service_api',
  'frontend_service_api',
] as const)(
  '%s answers whatever it is asked as it says that it does, and never with a 500',
  async (name) => {
    const address = suite.addresses[name];
    const description = apiDescription.parse(await (await fetch(`http://${address}/openapi.json`)).json());
    const checker = new AnswerChecker(description);
    const questions = Object.entries(description.paths).flatMap(([path, operations]) =>
      methods.flatMap((method) => {
        const operation = operations[method];
        return operation ? [questionsAbout(path, method, operation)] : [];
      }),
    );
    await tryMany(fc.oneof(...questions), async (question) => {
      const answer = await ask(address, question);
      expect(answer.status, answer.text).not.toBe(500);
      expect(answer.headers).not.toHaveProperty('x-injected');
      checker.check(question.method, question.path, answer);
    });
    expect((await fetch(`http://${address}/readyz`)).status).toBe(200);
    expect(suite.process(name).output).not.toMatch(/"level":"(error|fatal)"/);
  },
  600_000,
);
