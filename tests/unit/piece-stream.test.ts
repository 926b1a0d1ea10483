import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { sendPieces } from '@messaging/service_kit/rest/piece-stream';
import express from 'express';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.js';

let server: Server;
let address: string;
/** What is given piece by piece; undefined is a failure. */
let pieces: Iterable<string | undefined>;
let given: number;
let isOver: boolean;

async function* givePieces(): AsyncGenerator<string> {
  try {
    for (const piece of pieces) {
      if (piece === undefined) throw new Error('it can not go on');
      given++;
      yield piece;
    }
  } finally {
    isOver = true;
  }
}

beforeEach(async () => {
  [given, isOver] = [0, false];
  const app = express();
  app.get('/', async (request, response) =>
    sendPieces(request, response, async () => givePieces(), { slowCallerMs: 200 }),
  );
  app.use(((_error, _request, response, next) => {
    if (response.headersSent) next();
    else response.status(500).json('refused');
  }) satisfies express.ErrorRequestHandler);
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  address = `http://127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}/`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test('pieces make one JSON answer', async () => {
  pieces = ['[1', ',2', ']'];
  const answer = await fetch(address);
  expect(answer.headers.get('content-type')).toMatch(/^application\/json\b/);
  expect(await answer.json()).toEqual([1, 2]);
});

test('what fails before the first piece is an answer like any other', async () => {
  pieces = [undefined];
  const answer = await fetch(address);
  expect(answer.status).toBe(500);
  expect(await answer.json()).toBe('refused');
});

test('what fails later breaks the connection', async () => {
  pieces = ['[', undefined];
  // Where that comes with the first piece, there may be no answer at all.
  const text = fetch(address).then((answer) => answer.text());
  await expect(text).rejects.toThrow(/terminated|fetch failed/);
});

test('a caller that takes nothing is given no more than fits, and is cut off', async () => {
  pieces = Array.from({ length: 10_000 }, () => 'x'.repeat(64 * 1024));
  const answer = await fetch(address);
  await waitFor(() => isOver, { what: 'the caller is given up' });
  // The buffers of two sockets on one machine hold some megabytes.
  expect(given).toBeLessThan(300);
  await expect(answer.text()).rejects.toThrow(/terminated/);
});

test('a HEAD is answered without a body, and nothing is left open', async () => {
  pieces = ['[', ']'];
  const answer = await fetch(address, { method: 'HEAD' });
  expect(answer.status).toBe(200);
  expect(await answer.text()).toBe('');
  await waitFor(() => isOver, { what: 'the pieces are given up' });
});
