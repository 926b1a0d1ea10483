import { type requestCallback, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type {
  FrontendServiceClient,
  FrontendServiceHandlers,
} from '@messaging/proto_definitions/frontend_service/FrontendService';
import type { ReceiveNotificationResult } from '@messaging/proto_definitions/frontend_service/ReceiveNotificationResult';
import type { ReceiveNotificationsResponse__Output } from '@messaging/proto_definitions/frontend_service/ReceiveNotificationsResponse';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { createLogger } from '@messaging/service_kit/log';
import { afterEach, expect, test } from 'vitest';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;
const logger = await createLogger('tests', 'silent', 'json');
const context = { deadline: Infinity };

let server: Server;
let peer: Peer<FrontendServiceClient>;

afterEach(() => {
  peer.stop();
  server.forceShutdown();
});

/**
 * Starts a server whose `ReceiveNotifications` answers with what `receive` makes of the ids of a batch, and fails as
 * INTERNAL where that throws. Without `receive` it does not know the method.
 */
async function start(receive?: (ids: string[]) => ReceiveNotificationResult[]) {
  const { ReceiveNotifications } = FrontendService.service;
  const handle: FrontendServiceHandlers['ReceiveNotifications'] = ({ request }, callback) => {
    try {
      callback(null, { results: receive?.(request.notifications.map(({ id = '' }) => id)) ?? [] });
    } catch {
      callback({ code: status.INTERNAL, details: 'refused' });
    }
  };
  server = new Server();
  if (receive) server.addService({ ReceiveNotifications }, { ReceiveNotifications: handle });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  peer = new Peer('The peer', `127.0.0.1:${port}`, 5_000, logger, FrontendService);
  return peer.coalesce(
    (ids: string[], options, callback: requestCallback<ReceiveNotificationsResponse__Output>) =>
      peer.client.ReceiveNotifications({ notifications: ids.map((id) => ({ id })) }, options, callback),
    ({ results }) => results,
  );
}

test('what is asked at the same time is one call, and each gets its own result', async () => {
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

test('a peer of an older version, which lacks the method, counts as unavailable: nothing is given up for it', async () => {
  const ask = await start();
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
