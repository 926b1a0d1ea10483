import { Server, ServerCredentials, status, credentials } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { FrontendServiceClient } from '@messaging/proto_definitions/frontend_service/FrontendService';
import { createHandlerAdapters } from '@messaging/service_kit/grpc/handlers';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { createLogger } from '@messaging/service_kit/log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { anyone, openAccess } from '../helpers/access.js';
import { waitFor } from '../helpers/wait-for.js';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;
const logger = await createLogger('tests', 'silent', 'json');

let server: Server;
let client: FrontendServiceClient;
/** What was asked of the handler: how many pieces, and whether it was ended. */
let pieces: { given: number; isOver: boolean };

/** Serves pieces of 64 KiB without end, as fast as they are taken. */
async function* givePieces(signal: AbortSignal) {
  try {
    while (!signal.aborted) {
      pieces.given++;
      yield { id: String(pieces.given), sender_email: 'x'.repeat(64 * 1024) };
    }
  } finally {
    pieces.isOver = true;
  }
}

beforeEach(async () => {
  pieces = { given: 0, isOver: false };
  const { serverStream } = createHandlerAdapters(
    { maxInFlight: 100, requestTimeoutMs: 10_000, logger, slowCallerMs: 200 },
    { access: openAccess },
    new AbortController().signal,
  );
  server = new Server();
  const { WatchNotifications } = FrontendService.service;
  server.addService(
    { WatchNotifications },
    {
      WatchNotifications: serverStream(z.object({}), anyone, async (_request, signal) => givePieces(signal)),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  client = new FrontendService(`127.0.0.1:${port}`, credentials.createInsecure());
});

afterEach(() => {
  client.close();
  server.forceShutdown();
});

test('a caller that takes nothing is given no more than fits, and is told to come again', async () => {
  const call = client.WatchNotifications({});
  call.on('error', () => {});
  const ended = new Promise((resolve) => call.once('status', resolve));
  const taken: unknown[] = [];
  call.on('data', (piece) => taken.push(piece));
  // grpc-js holds back nothing before the first is taken.
  await waitFor(() => taken.length > 0, { what: 'the first piece is taken' });
  call.pause();
  await waitFor(() => pieces.isOver, { what: 'the caller is given up' });
  expect(pieces.given - taken.length).toBeLessThan(100);
  call.resume();
  expect(await ended).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    details: expect.stringContaining('too slow'),
  });
  expect(taken).toHaveLength(pieces.given);
});

test('a caller that goes away ends what it was given', async () => {
  const call = client.WatchNotifications({});
  call.on('error', () => {});
  let count = 0;
  call.on('data', () => count++);
  await waitFor(() => count > 100, { what: 'a hundred pieces are taken' });
  expect(pieces.isOver).toBe(false);
  call.cancel();
  await waitFor(() => pieces.isOver, { what: 'it is over' });
});
