import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  InterceptingCall,
  type Interceptor,
  type requestCallback,
  type ServiceError as GrpcError,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import { once } from 'node:events';
import { type ServiceName, serviceName } from '../access/callers.js';
import { ownTokens } from '../access/identity.js';
import { Coalescer } from '../coalescer.js';
import { type ErrorKind, errorKinds, readRetryAfter, RETRY_AFTER_HEADER, ServiceError } from '../errors.js';
import type { Component, Dependency } from '../lifecycle.js';
import type { Logger } from '../log.js';
import { grpcClientCallSeconds, peerUp } from '../metrics.js';
import type { RequestContext } from '../request.js';
import { REQUEST_ID_HEADER } from '../request-id.js';
import { tracing } from '../tracing.js';
import {
  BatchStreams,
  type CallFailure,
  callFailure,
  type Origins,
  type StreamRequest,
  type StreamResponse,
} from './batch-streams.js';
import { channelCredentials } from './credentials.js';
import { isRepeatable, serviceConfigOf } from './repeats.js';
import { rpcSpan, setStatus } from './spans.js';

const channelOptions: ChannelOptions = {
  // Notices new addresses within a second of a connection's end.
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  // The name server is not asked how to spread the calls: that is said here.
  'grpc.service_config_disable_resolution': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // Finds out about a peer that vanished without closing its connection.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3_000,
};

/**
 * How often a channel that is not connected is told to be. By itself it gives up a name that does not resolve, as that of a service
 * which is not up yet, and fails the next call.
 */
const RECONNECT_INTERVAL_MS = 500;

/** How often the name of a peer is looked up while its connections last: replicas that have come since are used from then on. */
const LOOK_UP_INTERVAL_MS = 10_000;

/** What a peer refuses because of what it was sent. */
const refusals = new Map<status, ErrorKind>(
  (['invalid', 'unauthenticated', 'forbidden', 'notFound', 'conflict', 'mismatch'] as const).map((kind) => [
    status[errorKinds[kind].grpc],
    kind,
  ]),
);

/** A batch method of a peer, how to ask through it, and the stream of the same. */
export interface BatchMethod<Item, Request, Reply, Result> {
  /** The unary method's path, by which it is traced. */
  path: string;
  /** How many items share a batch at the most, where that is less than it takes otherwise. */
  maxItems?: number;
  /** So many items do not wait for the batch that is under way, where that is not as usual. */
  itemsWorthABatch?: number;
  minIntervalMs?: number;
  request: (items: Item[], origins: Origins) => Request;
  /** Passes all three to the method of the generated client. */
  unary: (request: Request, options: CallOptions, callback: requestCallback<Reply>) => void;
  /** Passes the options to the stream's method of the generated client. */
  stream: (options: CallOptions) => ClientDuplexStream<StreamRequest<Request>, StreamResponse<Reply>>;
  /** Takes the results out of the reply, in the order of the items; one with a `code` failed. */
  results: (reply: Reply, items: Item[]) => Result[];
}

/** A unary method of a peer's generated client, and what it is called with. */
type UnaryCall<Reply> = (options: CallOptions, callback: requestCallback<Reply>) => void;

/** The connection to another service: it connects in the background and again after every loss. */
export class Peer<ServiceClient extends Client> implements Component, Dependency {
  readonly name: string;
  readonly #open: () => ServiceClient;
  #client: ServiceClient;
  /** All that are open: one that is about to take the other's place, and those whose calls may still be under way. */
  readonly #clients = new Set<ServiceClient>();
  readonly #timeoutMs: number;
  readonly #logger: Logger;
  readonly #streams: { close: () => void }[] = [];
  /** The paths of the methods that may be called twice. */
  readonly #repeatable: ReadonlySet<string>;
  readonly #hasName: boolean;
  #reconnecting: NodeJS.Timeout | undefined;
  #lookingUp: NodeJS.Timeout | undefined;

  /**
   * @param name the peer's name, for people
   * @param address `host:port`, or several separated by commas; all replicas that it resolves to share the calls
   * @param timeoutMs how long a call may take, unless the caller's own deadline is sooner
   * @param lookUpIntervalMs how often a name is looked up
   */
  constructor(
    name: string,
    address: string,
    timeoutMs: number,
    logger: Logger,
    Constructor: {
      new (address: string, credentials: ChannelCredentials, options: ChannelOptions): ServiceClient;
      service: ServiceDefinition;
    },
    private readonly lookUpIntervalMs = LOOK_UP_INTERVAL_MS,
  ) {
    this.name = name;
    this.#timeoutMs = timeoutMs;
    this.#logger = logger;
    // https://github.com/grpc/grpc/blob/master/doc/naming.md
    this.#hasName = !address.includes(',');
    const target = this.#hasName ? `dns:///${address}` : `ipv4:${address}`;
    const { credentials, options } = channelCredentials(serviceOf(Constructor.service));
    const allOptions = {
      ...channelOptions,
      'grpc.service_config': serviceConfigOf(Constructor.service),
      ...options,
    };
    this.#open = () => {
      const client = new Constructor(target, credentials, allOptions);
      this.#clients.add(client);
      return client;
    };
    this.#client = this.#open();
    this.#repeatable = new Set(
      Object.values(Constructor.service)
        .filter((method) => isRepeatable(method))
        .map(({ path }) => path),
    );
    peerUp.add({ peer: name }, () => Number(this.isUp));
  }

  /** What to make a call with, now: another one takes its place from time to time. */
  get client(): ServiceClient {
    return this.#client;
  }

  get isUp(): boolean {
    return this.#connectivity() === connectivityState.READY;
  }

  /** True when the last attempts to connect failed: a call would fail, too. */
  get isUnreachable(): boolean {
    return this.#connectivity() === connectivityState.TRANSIENT_FAILURE;
  }

  start(): void {
    this.#connectivity();
    this.#reconnecting = setInterval(() => this.#connectivity(), RECONNECT_INTERVAL_MS);
    if (this.#hasName) this.#lookingUp = setInterval(() => this.#lookUp(), this.lookUpIntervalMs);
  }

  stop(): void {
    clearInterval(this.#reconnecting);
    clearInterval(this.#lookingUp);
    for (const streams of this.#streams) streams.close();
    for (const client of this.#clients) this.#close(client);
  }

  /**
   * Makes a unary call. One that may be made twice is made again, up to four times in all, where the peer is not available.
   *
   * @param invoke passes `options` and `callback` to the method of the generated client
   * @throws {ServiceError} `unavailable`, `tooSlow` or `tooMany` for a peer in trouble; `internal` when the peer
   *   refuses what this code sent.
   */
  async call<Reply>(context: RequestContext, invoke: UnaryCall<Reply>): Promise<Reply> {
    return this.#call(context, invoke, (failure) => this.#describe(failure));
  }

  /**
   * Makes a unary call for a caller of our own: what the peer refuses, that caller is told, in the peer's words.
   *
   * @throws {ServiceError} as `call` does, and of the kind that the peer's refusal is of.
   */
  async relay<Reply>(context: RequestContext, invoke: UnaryCall<Reply>): Promise<Reply> {
    return this.#call(context, invoke, (failure) => {
      const retryAfterMs = readRetryAfter(failure.metadata.get(RETRY_AFTER_HEADER)[0]?.toString());
      // Who has too much to do itself does not know for how long.
      if (failure.code === status.RESOURCE_EXHAUSTED && retryAfterMs !== undefined) {
        return new ServiceError('tooMany', failure.details, { retryAfterMs });
      }
      const kind = refusals.get(failure.code);
      return kind === undefined ? this.#describe(failure) : new ServiceError(kind, failure.details);
    });
  }

  /**
   * Opens a stream of replies. Resolves once the peer serves it; it then goes on until either side ends it, ours by
   * `signal`.
   *
   * @param invoke passes `options` to the method of the generated client
   * @throws {ServiceError} as `call` does, for as long as it goes on; `unauthenticated` where the peer no
   *   longer serves it to whom it was for.
   */
  async stream<Reply>(
    invoke: (options: CallOptions) => ClientReadableStream<Reply>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Reply>> {
    const call = invoke(passOn({}));
    // Whoever reads it is told; nobody may be reading.
    call.on('error', () => {});
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel);
    call.once('close', () => signal.removeEventListener('abort', cancel));
    try {
      await once(call, 'metadata', {
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]),
      });
    } catch (error) {
      cancel();
      throw this.#describeStream(error);
    }
    return this.#read(call);
  }

  async *#read<Reply>(call: ClientReadableStream<Reply>): AsyncGenerator<Reply, void> {
    try {
      const replies: AsyncIterable<Reply> = call;
      yield* replies;
    } catch (error) {
      const failure = callFailure.safeParse(error).data;
      if (failure?.code === status.UNAUTHENTICATED)
        throw new ServiceError('unauthenticated', failure.details);
      throw this.#describeStream(error);
    } finally {
      call.cancel();
    }
  }

  /**
   * Makes the way to ask the peer about one item, through one of its batch methods: what is asked at the same time
   * shares a batch.
   *
   * @returns a function that throws as `call` does, for its item alone.
   */
  coalesce<Item, Request, Reply, Result extends object>(
    method: BatchMethod<Item, Request, Reply, Result>,
  ): (item: Item, context: RequestContext) => Promise<Result> {
    const streams = new BatchStreams<Request, Reply>(
      () => method.stream(passOn({})),
      (failure) => this.#describe(failure),
    );
    this.#streams.push(streams);
    const toRequest = (asked: Asked<Item>[]) =>
      method.request(itemsOf(asked), {
        request_ids: listUnlessEmpty(asked.map(({ requestId }) => requestId ?? '')),
        traceparents: listUnlessEmpty(asked.map(({ traceparent }) => traceparent ?? '')),
      });
    const settle = (reply: Reply, asked: Asked<Item>[]) =>
      this.#settle(method.results(reply, itemsOf(asked)));
    const askByCall = async (asked: Asked<Item>[], deadline: number) => {
      const reply = await this.call<Reply>({ deadline }, (options, callback) =>
        method.unary(toRequest(asked), options, callback),
      );
      return settle(reply, asked);
    };
    const ask = async (asked: Asked<Item>[], deadline: number) => {
      const startedAt = performance.now();
      const reply = await streams.ask(toRequest(asked), deadline).catch((error: unknown) => {
        const kind = error instanceof ServiceError ? error.kind : undefined;
        this.#measure(startedAt, kind === undefined ? status.UNKNOWN : status[errorKinds[kind].grpc]);
        // Lost with its replica: another one can be asked the same.
        if (kind !== 'unavailable' || !this.#repeatable.has(method.path)) throw error;
      });
      if (reply !== undefined) this.#measure(startedAt);
      return reply === undefined ? askByCall(asked, deadline) : settle(reply, asked);
    };
    const coalescer = new Coalescer<Asked<Item>, Result>({
      name: this.name,
      ...(method.maxItems !== undefined && { maxItems: method.maxItems }),
      ...(method.itemsWorthABatch !== undefined && { itemsWorthABatch: method.itemsWorthABatch }),
      ...(method.minIntervalMs !== undefined && { minIntervalMs: method.minIntervalMs }),
      send: async (items, deadline) => {
        try {
          return await ask(items, deadline);
        } catch (error) {
          const isRefused = error instanceof ServiceError && error.kind === 'internal';
          if (!isRefused || items.length === 1) throw error;
          // One of them must have been too much for the peer: the others need not suffer for it.
          const outcomes = await Promise.allSettled(items.map(async (item) => askByCall([item], deadline)));
          return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome));
        }
      },
    });
    return (item, context) => {
      const { requestId } = context;
      const deadline = Math.min(context.deadline, Date.now() + this.#timeoutMs);
      if (!tracing) return coalescer.run({ item, requestId, traceparent: undefined }, deadline);
      return tracing.trace(rpcSpan(method.path, 'client'), ({ traceparent }) =>
        coalescer.run({ item, requestId, traceparent }, deadline),
      );
    };
  }

  async #call<Reply>(
    context: RequestContext,
    invoke: UnaryCall<Reply>,
    describe: (failure: GrpcError) => ServiceError,
  ): Promise<Reply> {
    const deadline = Math.min(context.deadline, Date.now() + this.#timeoutMs);
    const startedAt = performance.now();
    return new Promise((resolve, reject) => {
      invoke({ deadline, ...passOn(context) }, (error, reply) => {
        this.#measure(startedAt, error?.code);
        if (error) reject(describe(error));
        else if (reply === undefined) reject(new Error(`${this.name} answered with nothing`));
        else resolve(reply);
      });
    });
  }

  #measure(startedAt: number, code = status.OK): void {
    const labels = { peer: this.name, grpc_code: status[code] };
    grpcClientCallSeconds.observe(labels, (performance.now() - startedAt) / 1_000);
  }

  #settle<Result extends object>(results: Result[]): PromiseSettledResult<Result>[] {
    return results.map((result) =>
      'code' in result
        ? { status: 'rejected', reason: this.#describe(callFailure.parse(result)) }
        : { status: 'fulfilled', value: result },
    );
  }

  /**
   * Looks the name up again, which grpc-js does only when a connection ends: a new channel looks at once, and shares the connections
   * that there are. Calls that have begun go on with the one before, and streams until they end.
   */
  #lookUp(): void {
    const next = this.#open();
    next.waitForReady(Date.now() + this.lookUpIntervalMs / 2, (error) => {
      if (!this.#clients.has(next)) return;
      if (error) return this.#close(next);
      const previous = this.#client;
      this.#client = next;
      setTimeout(() => this.#close(previous), this.#timeoutMs).unref();
    });
  }

  #close(client: ServiceClient): void {
    if (this.#clients.delete(client)) client.close();
  }

  #connectivity(): connectivityState {
    return this.client.getChannel().getConnectivityState(true);
  }

  #describeStream(error: unknown): ServiceError {
    const isOverdue = error instanceof Error && error.name === 'AbortError';
    return this.#describe(
      isOverdue
        ? { code: status.DEADLINE_EXCEEDED, details: 'not served in time' }
        : callFailure.parse(error),
    );
  }

  #describe(failure: CallFailure): ServiceError {
    // A failure that came as an item of an answer is none that can be logged yet.
    const cause = failure instanceof Error ? failure : Object.assign(new Error(failure.details), failure);
    this.#logger.debug({ peer: this.name, err: cause }, 'call failed');
    switch (isReset(failure) ? status.UNAVAILABLE : failure.code) {
      case status.UNAVAILABLE:
      // Nothing is cancelled on this side: a peer that is stopped by force ends its calls so.
      case status.CANCELLED:
        return new ServiceError(
          'unavailable',
          `${this.name} is not available at the moment; try again shortly`,
          { cause },
        );
      case status.UNIMPLEMENTED:
        // It will be there once that service is upgraded, too: what is to be delivered can wait for it.
        return new ServiceError(
          'unavailable',
          `${this.name} does not know this call: it has to be upgraded as well`,
          { cause },
        );
      case status.DEADLINE_EXCEEDED:
        return new ServiceError('tooSlow', `${this.name} did not answer in time; try again shortly`, {
          cause,
        });
      case status.RESOURCE_EXHAUSTED:
        return new ServiceError('tooMany', `${this.name} has too much to do; try again shortly`, {
          cause,
        });
      default:
        return new ServiceError('internal', 'Something went wrong on our side', { cause });
    }
  }
}

/** An item of a batch, and where it comes from. */
interface Asked<Item> {
  item: Item;
  requestId: string | undefined;
  traceparent: string | undefined;
}

function itemsOf<Item>(asked: Asked<Item>[]): Item[] {
  return asked.map(({ item }) => item);
}

function listUnlessEmpty(texts: string[]): string[] {
  return texts.every((text) => text === '') ? [] : texts;
}

/** The options with which a call takes along what it belongs to, and who makes it. */
function passOn({ requestId, userToken }: Omit<RequestContext, 'deadline'>): CallOptions {
  const hasNothing = requestId === undefined && userToken === undefined && !ownTokens && !tracing;
  return hasNothing ? {} : { interceptors: [passOnFor(requestId, userToken)] };
}

function passOnFor(requestId: string | undefined, userToken: string | undefined): Interceptor {
  return (options, nextCall) => {
    const { path } = options.method_definition;
    const span = tracing?.begin(rpcSpan(path, 'client'));
    return new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        if (requestId !== undefined) metadata.set(REQUEST_ID_HEADER, requestId);
        if (span) metadata.set('traceparent', span.traceparent);
        const begin = (token?: string) => {
          if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
          if (!span) return next(metadata, listener);
          next(metadata, {
            onReceiveStatus: (outcome, nextStatus) => {
              setStatus(span, 'client', outcome.code);
              span.end();
              nextStatus(outcome);
            },
          });
        };
        if (userToken !== undefined || !ownTokens) return begin(userToken);
        void ownTokens.current(packageOf(path)).then(begin);
      },
    });
  };
}

function serviceOf(definition: ServiceDefinition): ServiceName {
  const [method] = Object.values(definition);
  return serviceName.parse(packageOf(method?.path ?? ''));
}

/** `/message_service.MessageService/SendMessage` is of the package `message_service`. */
function packageOf(path: string): string {
  return path.slice(1, path.indexOf('.'));
}

/** Many cancelled calls make HTTP/2 reset healthy ones, which grpc-js reports as INTERNAL (grpc-node issue 2625). */
function isReset(error: CallFailure): boolean {
  return error.code === status.INTERNAL && error.details.includes('RST_STREAM');
}
