import { Client, type ClientReadableStream, credentials } from '@grpc/grpc-js';
import type { Notification__Output as Notification } from '@messaging/proto_definitions/frontend_service/Notification';
import { frontendService } from '../protos.js';
import { Watcher, type Watchers } from './watchers.js';

const { path, requestSerialize, responseDeserialize } = frontendService.WatchNotifications;

/** Watchers by `WatchNotifications`, which share a few connections evenly. */
export class GrpcWatchers implements Watchers {
  readonly #clients: Client[];
  readonly #streams: ClientReadableStream<Notification>[] = [];

  constructor(address: string, connections: number) {
    this.#clients = Array.from(
      { length: connections },
      // Channels to the same address would share one connection otherwise.
      () => new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
    );
  }

  async add(email: string): Promise<Watcher> {
    const client = this.#clients[this.#streams.length % this.#clients.length];
    if (!client) throw new Error('there is no connection to watch over');
    const watcher = new Watcher(email);
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { email });
    stream.once('metadata', () => (watcher.isServed = true));
    stream.on('data', ({ receiver_email }: Notification) => watcher.take(receiver_email ?? ''));
    // How it ended is told by `status`, for errors as well.
    stream.on('error', () => {});
    stream.once('status', ({ code, details }) => (watcher.failure = `status ${code}, ${details}`));
    this.#streams.push(stream);
    return watcher;
  }

  close(): void {
    for (const stream of this.#streams) stream.cancel();
    for (const client of this.#clients) client.close();
  }
}
