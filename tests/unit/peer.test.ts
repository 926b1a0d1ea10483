import { once } from 'node:events';
import { type requestCallback, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { FrontendServiceClient } from '@messaging/proto_definitions/frontend_service/FrontendService';
import type { ReceiveNotificationResult } from '@messaging/proto_definitions/frontend_service/ReceiveNotificationResult';
import type { ReceiveNotificationsResponse__Output } from '@messaging/proto_definitions/frontend_service/ReceiveNotificationsResponse';
import { createHandlerAdapters } from '@messaging/service_kit/grpc/handlers';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { createLogger } from '@messaging/service_kit/log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { anyone, openAccess } from '../helpers/access.js';
import { z } from 'zod';
import { waitFor } from '../helpers/wait-for.js';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;
const logger = await createLogger('tests', 'silent', 'json');
const context = { deadline: Infinity };
const request = z.object({ notifications: z.array(z.object({ id: z.string() })) });

type Receive = (ids: string[]) => ReceiveNotificationResult[] | Promise<ReceiveNotificationResult[]>;

let server: Server;
let drain: AbortController;
let peer: Peer<FrontendServiceClient>;
/** The methods that were called, in order. */
let called: string[];

beforeEach(() => {
  called = [];
});

afterEach(() => {
  peer.stop();
  server.forceShutdown();
});

/** Makes a server answer with what `receive` makes of the ids of a batch, by `methods`, and fail where that throws. */
async function serve(receive: Receive, methods: ('unary' | 'stream')[], port = 0): Promise<number> {
  drain = new AbortController();
  const { unary, stream } = createHandlerAdapters(
    { maxInFlight: 100, requestTimeoutMs: 10_000, logger },
    { access: openAccess },
    drain.signal,
  );
  const handle =
    (method: string) =>
    async ({ notifications }: z.output<typeof request>) => {
      called.push(method);
      return { results: await receive(notifications.map(({ id }) => id)) };
    };
  const { ReceiveNotifications, ReceiveNotificationsStream } = FrontendService.service;
  server = new Server();
  if (methods.includes('unary')) {
    server.addService(
      { ReceiveNotifications },
      { ReceiveNotifications: unary(request, anyone, handle('unary')) },
    );
  }
  if (methods.includes('stream')) {
    server.addService(
      { ReceiveNotificationsStream },
      { ReceiveNotificationsStream: stream(request, anyone, handle('stream')) },
    );
  }
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
}

function askerOf(port: number) {
  peer = new Peer('The peer', `127.0.0.1:${port}`, 5_000, logger, FrontendService);
  return peer.coalesce({
    path: FrontendService.service.ReceiveNotifications.path,
    request: (ids: string[]) => ({ notifications: ids.map((id) => ({ id })) }),
    unary: (batch, options, callback: requestCallback<ReceiveNotificationsResponse__Output>) =>
      peer.client.ReceiveNotifications(batch, options, callback),
    stream: () => peer.client.ReceiveNotificationsStream(),
    results: ({ results }) => results,
  });
}

async function start(receive: Receive, methods: ('unary' | 'stream')[] = ['unary', 'stream']) {
  return askerOf(await serve(receive, methods));
}

const succeed = (ids: string[]) => ids.map(() => ({ success: true }));

/** A receiver that answers once it is told to. */
function holdBack() {
  const released = new AbortController();
  const receive = async (ids: string[]) => {
    if (!released.signal.aborted) await once(released.signal, 'abort');
    return succeed(ids);
  };
  return { receive, release: () => released.abort() };
}

test('what is asked at the same time is one batch on a stream, and each gets its own result', async () => {
  const batches: string[][] = [];
  const ask = await start((ids) => {
    batches.push(ids);
    return ids.map((id) => ({ success: id !== 'b' }));
  });
  expect(await Promise.all(['a', 'b', 'c'].map(async (id) => ask(id, context)))).toEqual([
    { success: true },
    { success: false },
    { success: true },
  ]);
  expect(batches).toEqual([['a', 'b', 'c']]);
  expect(called).toEqual(['stream']);
});

test.each([
  [status.UNAVAILABLE, 'unavailable'],
  [status.DEADLINE_EXCEEDED, 'tooSlow'],
  [status.RESOURCE_EXHAUSTED, 'tooMany'],
  [status.INVALID_ARGUMENT, 'internal'],
  [999, 'internal'],
])('an item that fails with code %i is %s, and the others are answered', async (code, kind) => {
  const ask = await start((ids) =>
    ids.map((id) => (id === 'bad' ? { code, details: 'why' } : { success: true })),
  );
  const outcomes = await Promise.allSettled(['a', 'bad', 'c'].map(async (id) => ask(id, context)));
  expect(outcomes).toMatchObject([
    { status: 'fulfilled', value: { success: true } },
    { status: 'rejected', reason: { kind } },
    { status: 'fulfilled', value: { success: true } },
  ]);
});

test('of a batch that is refused as a whole, each item is asked about alone', async () => {
  const ask = await start((ids) => {
    if (ids.includes('poison')) throw new Error('the peer can not take it');
    return ids.map(() => ({ success: true }));
  });
  const outcomes = await Promise.allSettled(['a', 'poison', 'c'].map(async (id) => ask(id, context)));
  expect(outcomes).toMatchObject([
    { status: 'fulfilled', value: { success: true } },
    { status: 'rejected', reason: { kind: 'internal' } },
    { status: 'fulfilled', value: { success: true } },
  ]);
});

test('a peer of an older version, which lacks both methods, counts as unavailable: nothing is given up for it', async () => {
  const ask = await start(succeed, []);
  await expect(ask('a', context)).rejects.toMatchObject({
    kind: 'unavailable',
    message: 'The peer does not know this call: it has to be upgraded as well',
  });
});

test('an item whose caller has stopped waiting is not sent', async () => {
  const batches: string[][] = [];
  const ask = await start((ids) => {
    batches.push(ids);
    return ids.map(() => ({ success: true }));
  });
  const [late, inTime] = await Promise.allSettled([ask('late', { deadline: Date.now() }), ask('a', context)]);
  expect(late).toMatchObject({ status: 'rejected', reason: { kind: 'tooSlow' } });
  expect(inTime).toMatchObject({ status: 'fulfilled' });
  expect(batches).toEqual([['a']]);
});

test('a peer that has no streams is asked by unary calls', async () => {
  const ask = await start(succeed, ['unary']);
  for (const id of ['a', 'b']) expect(await ask(id, context)).toEqual({ success: true });
  expect(called).toEqual(['unary', 'unary']);
});

test('a peer that is stopping answers what it took, and what it did not take is asked by a call', async () => {
  const { receive, release } = holdBack();
  const ask = await start(receive);
  const taken = ask('taken', context);
  await waitFor(() => called.length === 1, { what: 'the first batch has arrived' });
  drain.abort();
  release();
  expect(await taken).toEqual({ success: true });
  expect(await ask('not taken', context)).toEqual({ success: true });
  expect(called).toEqual(['stream', 'unary']);
});

test('a peer that dies in the middle of a batch is unavailable, and asked again once it is back', async () => {
  const port = await serve(holdBack().receive, ['unary', 'stream']);
  const ask = askerOf(port);
  const broken = ask('a', context);
  await waitFor(() => called.length === 1, { what: 'the batch has arrived' });
  server.forceShutdown();
  await expect(broken).rejects.toMatchObject({ kind: 'unavailable' });
  await serve(succeed, ['unary', 'stream'], port);
  await waitFor(async () => ask('b', context).catch(() => undefined), { what: 'the peer answers again' });
  expect(called.at(-1)).toBe('stream');
});

test('a batch that is not answered in time fails alone, and the next goes to another stream', async () => {
  const { receive: never } = holdBack();
  const ask = await start((ids) => (ids.includes('hangs') ? never(ids) : succeed(ids)));
  await expect(ask('hangs', { deadline: Date.now() + 200 })).rejects.toMatchObject({ kind: 'tooSlow' });
  expect(await ask('a', context)).toEqual({ success: true });
  expect(called).toEqual(['stream', 'stream']);
});

test('an answer that comes first is not taken for that of an earlier batch', async () => {
  const { receive: slow, release } = holdBack();
  const receive = (ids: string[]) => (ids.includes('slow') ? slow(ids) : ids.map(() => ({ success: false })));
  const ask = await start(receive);
  const first = ask('slow', context);
  await waitFor(() => called.length === 1, { what: 'the slow batch has arrived' });
  // As many as are worth a batch of their own, often enough for every stream to be used again.
  for (let round = 0; round < 8; round++) {
    const answers = await Promise.all(Array.from({ length: 32 }, async () => ask('quick', context)));
    expect(answers).toEqual(answers.map(() => ({ success: false })));
  }
  release();
  expect(await first).toEqual({ success: true });
});
