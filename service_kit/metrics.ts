import { Counter, Gauge, Histogram, Registry } from 'prom-client';

// What this process tells of itself. Names follow https://prometheus.io/docs/practices/naming/: base units, and a total where
// something is counted. A label has few values, known in advance: never an address, an id or a text.

/** What `/metrics` shows. */
export const registry = new Registry();
const registers = [registry];

/** From half a millisecond, as a call takes between idle processes, to the time that a request may take. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const httpServerRequestSeconds = new Histogram({
  name: 'http_server_request_duration_seconds',
  help: 'Requests that were answered, by their route. Streams of events are not among them.',
  labelNames: ['method', 'route', 'status'] as const,
  buckets: SECONDS,
  registers,
});

export const httpClientRequestSeconds = new Histogram({
  name: 'http_client_request_duration_seconds',
  help: 'Requests to another service. The status is 0 where there was no answer.',
  labelNames: ['peer', 'method', 'status'] as const,
  buckets: SECONDS,
  registers,
});

export const grpcServerCallSeconds = new Histogram({
  name: 'grpc_server_handling_seconds',
  help: 'Calls that were answered, each request of a stream of batches among them.',
  labelNames: ['grpc_method', 'grpc_code'] as const,
  buckets: SECONDS,
  registers,
});

export const grpcServerItemFailures = new Counter({
  name: 'grpc_server_item_failures_total',
  help: 'Items that failed in a batch which was answered.',
  labelNames: ['grpc_method', 'grpc_code'] as const,
  registers,
});

export const grpcClientCallSeconds = new Histogram({
  name: 'grpc_client_handling_seconds',
  help: 'Calls to another service, each batch that was asked through a stream among them.',
  labelNames: ['peer', 'grpc_code'] as const,
  buckets: SECONDS,
  registers,
});

export const batchItems = new Histogram({
  name: 'batch_items',
  help: 'How many items went out together.',
  labelNames: ['target'] as const,
  buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  registers,
});

export const redisCommandSeconds = new Histogram({
  name: 'redis_command_duration_seconds',
  help: 'Scripts, from asking to the answer, and the PING that is sent every second.',
  labelNames: ['command', 'outcome'] as const,
  buckets: SECONDS,
  registers,
});

export const outboxDeliveries = new Counter({
  name: 'outbox_deliveries_total',
  help: 'Attempts to deliver an entry: delivered; postponed, as the receiver was away; or given up (dead_lettered).',
  labelNames: ['stream', 'outcome'] as const,
  registers,
});

export const limitRefusals = new Counter({
  name: 'limit_refusals_total',
  help: 'What was refused because a caller had had too much of it, by the limit.',
  labelNames: ['limit'] as const,
  registers,
});

/** A gauge whose value is read when `/metrics` is asked for. */
class ReadGauge<Label extends string> {
  readonly #reads: { labels: Record<Label, string>; read: () => Promise<number | undefined> | number }[] = [];

  /** @param combine what is told of several with the same labels */
  constructor(
    name: string,
    help: string,
    labelNames: readonly Label[],
    combine: (one: number, other: number) => number = (one, other) => one + other,
  ) {
    const gauge: Gauge<Label> = new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect: async () => {
        const values = await Promise.all(
          this.#reads.map(async ({ labels, read }) => ({ labels, value: await read() })),
        );
        const combined = new Map<string, { labels: Record<Label, string>; value: number }>();
        for (const { labels, value } of values) {
          if (value === undefined) continue;
          const key = JSON.stringify(labels);
          const other = combined.get(key);
          combined.set(key, { labels, value: other ? combine(other.value, value) : value });
        }
        gauge.reset();
        for (const { labels, value } of combined.values()) gauge.set(labels, value);
      },
    });
  }

  /** @param read tells the value; undefined, or a promise of it, where it is not known now */
  add(labels: Record<Label, string>, read: () => Promise<number | undefined> | number): void {
    this.#reads.push({ labels, read });
  }
}

export const requestsInFlight = new ReadGauge(
  'requests_in_flight',
  'Requests and calls under way; MAX_IN_FLIGHT is their bound.',
  [],
);

export const openStreams = new ReadGauge(
  'answer_streams_open',
  'Callers who are sent something for as long as they stay: watches, or streams of events.',
  [],
);

export const queuedItems = new ReadGauge('queued_items', 'Items that wait for their turn.', ['target']);

export const peerUp = new ReadGauge(
  'peer_up',
  'Whether another service can be reached, as of the last attempt.',
  ['peer'],
  Math.min,
);

export const redisUp = new ReadGauge('redis_up', 'Whether Redis answers.', ['database'], Math.min);

export const outboxEntries = new ReadGauge(
  'outbox_entries',
  'Entries that are still to be delivered, by any replica.',
  ['stream'],
  Math.max,
);

export const outboxAgeSeconds = new ReadGauge(
  'outbox_oldest_entry_age_seconds',
  'How long the oldest of them has waited; 0 where none does.',
  ['stream'],
  Math.max,
);

export const deadLetters = new ReadGauge(
  'outbox_dead_letters',
  'Entries that were given up and are to be looked at.',
  ['stream'],
  Math.max,
);
