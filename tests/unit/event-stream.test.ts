import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import { type ServerSentEvent, sendEvents } from '@messaging/service_kit/rest/event-stream';
import express from 'express';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.js';

let server: Server;
let drain: AbortController;
/** What was asked of the handler: how many events, and whether it was ended. */
let events: { given: number; isOver: boolean };

/** Gives events of 64 KiB without end, as fast as they are taken. */
async function* giveEvents(signal: AbortSignal): AsyncGenerator<ServerSentEvent> {
  try {
    while (!signal.aborted) {
      events.given++;
      yield { event: 'piece', id: String(events.given), data: 'x'.repeat(64 * 1024) };
    }
  } finally {
    events.isOver = true;
  }
}

beforeEach(async () => {
  events = { given: 0, isOver: false };
  drain = new AbortController();
  const app = express();
  app.get('/events', async (request, response) =>
    sendEvents(request, response, drain.signal, async (signal) => giveEvents(signal), {
      slowCallerMs: 200,
    }),
  );
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function open(): Promise<IncomingMessage> {
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const request = get(`http://127.0.0.1:${port}/events`);
  request.on('error', () => {});
  const [response]: IncomingMessage[] = await once(request, 'response');
  if (!response) throw new Error('no response');
  return response;
}

test('a caller that takes nothing is given no more than fits, and is cut off', async () => {
  const response = await open();
  response.once('error', () => {});
  await waitFor(() => events.isOver, { what: 'the caller is given up' });
  // The buffers of two sockets on one machine hold some megabytes.
  expect(events.given).toBeLessThan(200);
  await waitFor(
    () =>
      new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count))).then(
        (count) => count === 0,
      ),
    { what: 'its connection is closed' },
  );
});

test('a caller that goes away ends what it was sent', async () => {
  const response = await open();
  response.once('error', () => {});
  response.once('data', () => response.destroy());
  await waitFor(() => events.isOver, { what: 'it is ended' });
  expect(response.complete).toBe(false);
});

test('a stop ends the stream in order, so that the caller connects again', async () => {
  const response = await open();
  response.on('data', () => {});
  const ended = once(response, 'end');
  drain.abort();
  await ended;
  expect(response.complete).toBe(true);
  expect(events.isOver).toBe(true);
});
