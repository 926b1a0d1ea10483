import dns from 'node:dns';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { EndWatchesResponse__Output } from '@messaging/proto_definitions/frontend_service/EndWatchesResponse';
import type { Notification__Output } from '@messaging/proto_definitions/frontend_service/Notification';
import type { FrontendServiceHandlers } from '@messaging/proto_definitions/frontend_service/FrontendService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import { createLogger } from '@messaging/service_kit/log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findFreePort } from '../helpers/free-ports.js';
import { waitFor } from '../helpers/wait-for.js';

const NAME = 'replicas.example';
const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;
const { EndWatches, WatchNotifications } = FrontendService.service;

type Handlers = Pick<FrontendServiceHandlers, 'EndWatches' | 'WatchNotifications'>;

/** What the name resolves to: to nothing, as that of a service of which no replica is there yet. */
let addresses: string[];
/** How long that takes. */
let lookupMs: number;
let lookups: number;
let replicas: Replica[];

/** A replica of a service: who has called it, and the streams that it serves. */
class Replica {
  /** From which addresses and ports: one for each connection. */
  readonly callers = new Set<string>();
  readonly streams: Parameters<Handlers['WatchNotifications']>[0][] = [];
  readonly #server = new Server();

  async start(host: string, port: number): Promise<void> {
    const handlers: Handlers = {
      EndWatches: (call, callback) => {
        this.callers.add(call.getPeer());
        callback(null, {});
      },
      WatchNotifications: (call) => {
        this.callers.add(call.getPeer());
        this.streams.push(call);
        call.write({ id: '1' });
      },
    };
    this.#server.addService({ EndWatches, WatchNotifications }, handlers);
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    replicas.push(this);
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

const { lookup } = dns.promises;

beforeEach(() => {
  replicas = [];
  [lookups, lookupMs] = [0, 0];
  // Stands in for the name server of an orchestrator.
  Object.assign(dns.promises, {
    lookup: async (name: string) => {
      if (name !== NAME) return lookup(name, { all: true });
      lookups++;
      await sleep(lookupMs);
      if (addresses.length === 0) throw new Error('ENOTFOUND');
      return addresses.map((address) => ({ address, family: 4 }));
    },
  });
});

afterEach(() => {
  Object.assign(dns.promises, { lookup });
  for (const replica of replicas) replica.stop();
});

test('a replica that has come since is used, while the connections and streams that there were go on', async () => {
  const port = await findFreePort();
  const [first, second] = [new Replica(), new Replica()];
  await first.start('127.0.0.1', port);
  addresses = ['127.0.0.1'];
  const logger = await createLogger('tests', 'silent', 'json');
  const peer = new Peer('The peer', `${NAME}:${port}`, 300, logger, FrontendService, 100);
  const call = async () =>
    peer.call<EndWatchesResponse__Output>({ deadline: Infinity }, (options, callback) =>
      peer.client.EndWatches({ email: 'a@example.com' }, options, callback),
    );
  try {
    peer.start();
    await waitFor(() => peer.isUp, { what: 'it is connected to' });
    const replies = await peer.stream<Notification__Output>(
      (options) => peer.client.WatchNotifications({ email: 'a@example.com' }, options),
      new AbortController().signal,
    );
    const stream = replies[Symbol.asyncIterator]();
    expect((await stream.next()).value).toMatchObject({ id: '1' });
    const before = peer.client;
    await call();
    await waitFor(() => peer.client !== before, { what: 'the name is looked up again' });
    await call();
    expect(first.callers.size, 'one connection').toBe(1);

    await second.start('127.0.0.2', port);
    addresses = ['127.0.0.1', '127.0.0.2'];
    await waitFor(
      async () => {
        await call();
        return second.callers.size > 0;
      },
      { what: 'the second replica is called' },
    );

    // Long enough for the channel of the stream to have been closed.
    let looked = 0;
    for (let last = peer.client; looked < 8; looked++) {
      await waitFor(() => peer.client !== last, { what: 'the name is looked up again' });
      last = peer.client;
      await call();
    }
    first.streams[0]?.write({ id: '2' });
    expect((await stream.next()).value).toMatchObject({ id: '2' });
    expect([first.callers.size, second.callers.size], 'a connection each').toEqual([1, 1]);
  } finally {
    peer.stop();
  }
});

test('where the name is known no more, the replicas that there were are used on', async () => {
  const port = await findFreePort();
  const replica = new Replica();
  await replica.start('127.0.0.1', port);
  addresses = ['127.0.0.1'];
  const logger = await createLogger('tests', 'silent', 'json');
  const peer = new Peer('The peer', `${NAME}:${port}`, 300, logger, FrontendService, 100);
  try {
    peer.start();
    await waitFor(() => peer.isUp, { what: 'it is connected to' });
    addresses = [];
    const before = lookups;
    await waitFor(() => lookups > before + 3, { what: 'it is looked up a few times' });
    await peer.call<EndWatchesResponse__Output>({ deadline: Infinity }, (options, callback) =>
      peer.client.EndWatches({ email: 'a@example.com' }, options, callback),
    );
    expect(replica.callers.size).toBe(1);
  } finally {
    peer.stop();
  }
});

test('a name that does not resolve at first is looked up until it does, and connected to before the first call', async () => {
  const port = await findFreePort();
  const replica = createServer((socket) => socket.on('error', () => {}).destroy());
  replica.listen(port, '127.0.0.1');
  let connections = 0;
  replica.on('connection', () => connections++);
  addresses = [];
  // Longer than grpc-js waits before it looks a second time: where that is still under way, it gives the name up.
  lookupMs = 300;
  const logger = await createLogger('tests', 'silent', 'json');
  const peer = new Peer('The peer', `${NAME}:${port}`, 300, logger, FrontendService, 60_000);
  try {
    peer.start();
    await waitFor(() => lookups > 2, { what: 'it is looked up again' });
    addresses = ['127.0.0.1'];
    await expect.poll(() => connections, { timeout: 10_000 }).toBeGreaterThan(0);
  } finally {
    peer.stop();
    replica.close();
  }
});
