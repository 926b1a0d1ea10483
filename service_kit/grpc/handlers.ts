import { X509Certificate } from 'node:crypto';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import { z } from 'zod';
import type { AccessControl, Credentials } from '../access/access-control.js';
import type { ServiceName } from '../access/callers.js';
import type { CallOrigin, ClientAddresses } from '../access/client-addresses.js';
import type { AccessRule } from '../access/rules.js';
import { MAX_BATCH_ITEMS } from '../coalescer.js';
import { errorKinds, RETRY_AFTER_HEADER, ServiceError, toServiceError } from '../errors.js';
import { parseInput } from '../input.js';
import { type Logger, SLOW_REQUEST_MS } from '../log.js';
import { grpcServerCallSeconds, grpcServerItemFailures } from '../metrics.js';
import { InFlight, type RequestContext } from '../request.js';
import { newRequestId, readRequestId, REQUEST_ID_HEADER } from '../request-id.js';
import { AnswerStream } from '../answer-stream.js';
import { findServiceNamed } from '../tls/certified-service.js';
import { type Span, type SpanOptions, tracing } from '../tracing.js';
import type { StreamRequest, StreamResponse } from './batch-streams.js';
import { rpcSpan, setStatus } from './spans.js';

/** What one call, or one request of a stream, brings along. */
interface CallContext extends RequestContext {
  readonly method: string;
  /** As it came. */
  readonly request: unknown;
  /** What the items of a batch are called in the logs. */
  requestIds?: readonly (string | undefined)[];
}

/** An async function that takes parsed input. */
type Handle<Schema extends z.ZodType, Response> = (
  input: z.output<Schema>,
  context: CallContext,
) => Promise<Response>;

/** Makes a grpc-js handler of an async function that takes parsed input, from those whom the rule lets in. */
export type UnaryAdapter = <Request, Schema extends z.ZodType, Response>(
  schema: Schema,
  rule: AccessRule<z.output<Schema>>,
  handle: Handle<Schema, Response>,
) => handleUnaryCall<Request, Response>;

/**
 * The same for a stream: each request is answered like a call of its own, as soon as it can be, with its number. Who is let in
 * is decided when the stream begins, so it can't depend on the requests.
 */
export type StreamAdapter = <Request, Schema extends z.ZodType, Response>(
  schema: Schema,
  rule: AccessRule<unknown>,
  handle: Handle<Schema, Response>,
) => handleBidiStreamingCall<StreamRequest<Request>, StreamResponse<Response>>;

/**
 * Makes a grpc-js handler of a function that resolves to what the caller is to be sent, piece by piece. The next piece is only
 * asked for once the caller has room for it; one with a `traceparent` has that trace go on to the caller. The signal is
 * aborted when the caller has gone or is no longer let in, does not take anything for a while, or the server stops.
 */
export type ServerStreamAdapter = <Request, Schema extends z.ZodType, Response extends object>(
  schema: Schema,
  rule: AccessRule<z.output<Schema>>,
  handle: (input: z.output<Schema>, signal: AbortSignal) => Promise<AsyncIterable<Response>>,
) => handleServerStreamingCall<Request, Response>;

/**
 * Makes what handles a batch out of what handles one item, for `unary` and `stream`: the request has a list of items
 * in one field, and the response their `results` in the same order. An item that fails, fails alone.
 */
export type BatchAdapter = <Schema extends z.ZodType, Result>(
  field: string,
  schema: Schema,
  rule: AccessRule<unknown>,
  handle: Handle<Schema, Result>,
) => [
  BatchSchema<unknown>,
  AccessRule<unknown>,
  Handle<BatchSchema<unknown>, { results: (Result | Failure)[] }>,
];

/** The same for a function that takes all items at once. */
export type WholeBatchAdapter = <Schema extends z.ZodType, Response>(
  field: string,
  schema: Schema,
  rule: AccessRule<unknown>,
  handle: (items: z.output<Schema>[], context: CallContext) => Promise<Response>,
) => [BatchSchema<z.output<Schema>>, AccessRule<unknown>, Handle<BatchSchema<z.output<Schema>>, Response>];

type BatchSchema<Item> = z.ZodType<Record<string, Item[]>>;

/** How one call, or one item of a batch, failed. */
interface Failure {
  code: status;
  details: string;
}

/** What makes a service's functions into the handlers of its gRPC door. */
export interface HandlerAdapters {
  unary: UnaryAdapter;
  stream: StreamAdapter;
  serverStream: ServerStreamAdapter;
  batch: BatchAdapter;
  wholeBatch: WholeBatchAdapter;
}

function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(item).max(MAX_BATCH_ITEMS, `must be ${MAX_BATCH_ITEMS} items at the most`);
}

const batchOrigins = z.object({
  request_ids: listOf(z.string()).default([]),
  traceparents: listOf(z.string()).default([]),
});

/** Reads where the items of a batch come from, and has its line in the log name them. */
function readOrigins(call: CallContext) {
  const { request_ids, traceparents } = parseInput(batchOrigins, call.request);
  const requestIds = request_ids.map(readRequestId);
  if (requestIds.length > 0) call.requestIds = requestIds;
  return { requestIds, traceparents };
}

/**
 * Creates the adapters that all of a server's methods share: they bound how many calls run at once, parse the
 * requests, pass the caller's deadline on, and turn whatever is thrown into a status.
 *
 * @param drain once it is aborted, the streams take no further request, and end when what they took is answered
 */
export function createHandlerAdapters(
  options: { maxInFlight: number; requestTimeoutMs: number; logger: Logger; slowCallerMs?: number },
  { access, clients }: { access: AccessControl; clients?: ClientAddresses },
  drain: AbortSignal,
): HandlerAdapters {
  const { logger, slowCallerMs } = options;
  const inFlight = new InFlight(options.maxInFlight);
  /** To pass on names that nobody asked for takes 2 to 7 % of the CPU time of a message: not where hardly a line would bear them. */
  const namesAll = tracing !== undefined || logger.isLevelEnabled('debug');

  const describe = ({ method, requestId }: CallContext, thrown: unknown, startedAt?: number): Failure => {
    const error = toServiceError(thrown);
    const level = error.kind === 'internal' ? 'error' : 'info';
    const durationMs = startedAt === undefined ? undefined : msSince(startedAt);
    logger[level]({ method, requestId, durationMs, err: error.cause ?? error }, 'failed');
    return toFailure(error);
  };

  /** Resolves to the response, or to how it failed. */
  const answer = async <Response>(
    call: CallContext,
    work: (context: CallContext) => Promise<Response>,
  ): Promise<{ response: Response } | { failure: Failure; metadata: Metadata }> => {
    const startedAt = performance.now();
    const context = { ...call, deadline: Math.min(call.deadline, Date.now() + options.requestTimeoutMs) };
    const measure = (code: status): number => {
      const durationMs = performance.now() - startedAt;
      const labels = { grpc_method: call.method, grpc_code: status[code] };
      grpcServerCallSeconds.observe(labels, durationMs / 1_000);
      return Math.round(durationMs);
    };
    try {
      const response = await inFlight.run(context, async () => work(context));
      const durationMs = measure(status.OK);
      const { method, requestId, requestIds } = context;
      const level = durationMs < SLOW_REQUEST_MS ? 'debug' : 'info';
      logger[level]({ method, requestId, requestIds, durationMs }, 'answered');
      return { response };
    } catch (thrown) {
      const { requestId = newRequestId() } = context;
      const failure = describe({ ...context, requestId }, thrown, startedAt);
      measure(failure.code);
      return { failure, metadata: toMetadata(requestId, thrown) };
    }
  };

  /** Reads what a call asks for, once it is known that its caller may. */
  const readAdmitted = async <Schema extends z.ZodType>(
    schema: Schema,
    rule: AccessRule<z.output<Schema>>,
    call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>,
  ) => {
    const caller = await access.identify(rule, new CallCredentials(call));
    const input = parseInput(schema, call.request);
    access.check(rule, caller, input);
    return { caller, input };
  };

  const unary: UnaryAdapter = (schema, rule, handle) => (call, callback) => {
    const method = call.getPath();
    const requestId = requestIdOf(call.metadata) ?? (namesAll ? newRequestId() : undefined);
    const deadline = Number(call.getDeadline());
    const reply = async (span?: Span) => {
      const { request } = call;
      const findClientAddress = clients && (async () => clients.find(originOf(call)));
      const outcome = await answer(
        { method, requestId, deadline, request, findClientAddress },
        async (context) => {
          const { input } = await readAdmitted(schema, rule, call);
          return handle(input, context);
        },
      );
      if (span) setStatus(span, 'server', 'failure' in outcome ? outcome.failure.code : status.OK);
      if ('failure' in outcome) callback({ ...outcome.failure, metadata: outcome.metadata });
      else callback(null, outcome.response);
    };
    if (tracing) void tracing.trace(serverSpan(method, call.metadata), reply);
    else void reply();
  };

  const stream: StreamAdapter = (schema, rule, handle) => (call) => {
    const method = call.getPath();
    let isEnding = false;
    let isRefused = false;
    let underWay = 0;
    const endWhenDone = () => {
      if (isEnding && !isRefused && underWay === 0) call.end();
    };
    const end = () => {
      isEnding = true;
      endWhenDone();
    };
    const admit = async () =>
      access.check(rule, await access.identify(rule, new CallCredentials(call)), undefined);
    const work = (job: Promise<unknown>) => {
      underWay++;
      void job.finally(() => {
        underWay--;
        endWhenDone();
      });
    };
    const refuse = (thrown: unknown) => {
      isRefused = true;
      call.emit('error', describe({ method, deadline: 0, request: undefined }, thrown));
    };
    const admitted = admit().catch(refuse);
    work(admitted);
    const reply = async ({ number = 0, timeout_ms = Infinity, request }: StreamRequest<unknown>) => {
      const deadline = Date.now() + timeout_ms;
      const outcome = await answer({ method, deadline, request }, async (context) =>
        handle(parseInput(schema, request ?? null), context),
      );
      if (!call.cancelled) call.write({ number, ...('failure' in outcome ? outcome.failure : outcome) });
    };
    call.on('data', (request) => {
      if (isEnding || isRefused) return;
      work(admitted.then(async () => isRefused || reply(request)));
    });
    call.on('end', end);
    if (drain.aborted) end();
    drain.addEventListener('abort', end);
    call.on('close', () => drain.removeEventListener('abort', end));
  };

  const serverStream: ServerStreamAdapter = (schema, rule, handle) => (call) => {
    const method = call.getPath();
    const requestId = requestIdOf(call.metadata) ?? newRequestId();
    const context = { method, requestId, deadline: Infinity, request: call.request };
    const send = async (span?: Span) => {
      const startedAt = performance.now();
      const ended = () => logger.debug({ method, requestId, durationMs: msSince(startedAt) }, 'ended');
      const answers = new AnswerStream(call, drain, slowCallerMs);
      let unwatch: (() => void) | undefined;
      try {
        const { caller, input } = await readAdmitted(schema, rule, call);
        unwatch = access.watch(caller, (reason) => answers.end(reason));
        const pieces = await handle(input, answers.signal);
        // Tells the caller that it is served, before there is anything to say.
        call.sendMetadata(toMetadata(requestId));
        await answers.send(pieces, (piece) => call.write(tracing ? sendTraced(method, piece) : piece));
        call.end();
        ended();
      } catch (thrown) {
        const { reason } = answers;
        if (call.cancelled || reason) ended();
        if (call.cancelled) return;
        const failure = reason ? toFailure(reason) : describe(context, thrown, startedAt);
        if (span) setStatus(span, 'server', failure.code);
        call.emit('error', { ...failure, metadata: toMetadata(requestId, thrown) });
      } finally {
        unwatch?.();
        answers.end();
      }
    };
    if (tracing) void tracing.trace(serverSpan(method, call.metadata), send);
    else void send();
  };

  const batch: BatchAdapter = (field, schema, rule, handle) => [
    z.object({ [field]: listOf(z.unknown()) }),
    rule,
    async ({ [field]: items = [] }, call) => {
      const { requestIds, traceparents } = readOrigins(call);
      const settle = async (item: unknown, index: number, span?: Span) => {
        const { method, requestId, deadline } = call;
        const context = { method, requestId: requestIds[index] ?? requestId, deadline, request: item };
        try {
          return await handle(parseInput(schema, item), context);
        } catch (thrown) {
          const failure = describe(context, thrown);
          grpcServerItemFailures.inc({ grpc_method: method, grpc_code: status[failure.code] });
          if (span) setStatus(span, 'server', failure.code);
          return failure;
        }
      };
      const results = items.map((item, index) => {
        const parent = traceparents[index];
        if (!tracing || !parent) return settle(item, index);
        return tracing.trace({ ...rpcSpan(call.method, 'server'), parent }, async (span) =>
          settle(item, index, span),
        );
      });
      return { results: await Promise.all(results) };
    },
  ];

  return { unary, stream, serverStream, batch, wholeBatch };
}

const wholeBatch: WholeBatchAdapter = (field, schema, rule, handle) => [
  z.object({ [field]: listOf(schema) }),
  rule,
  async ({ [field]: items = [] }, call) => {
    const { traceparents } = readOrigins(call);
    const [parent, ...others] = traceparents.filter(Boolean);
    if (!tracing || parent === undefined) return handle(items, call);
    const options = rpcSpan(call.method, 'server');
    return tracing.trace({ ...options, parent }, async (span) => {
      const waiting = others.map((other) => tracing?.begin({ ...options, parent: other, doneIn: span }));
      try {
        return await handle(items, call);
      } finally {
        for (const one of waiting) one?.end();
      }
    });
  },
];

/** What a call shows of who makes it, looked up where it is needed: in the open mode nobody does. */
class CallCredentials implements Credentials {
  constructor(
    private readonly call: Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getAuthContext'>,
  ) {}

  get authorization(): string | undefined {
    return this.call.metadata.get('authorization')[0]?.toString();
  }

  /** Takes longer than most of a call. */
  get certifiedService(): ServiceName | undefined {
    const certificate = this.call.getAuthContext().sslPeerCertificate;
    return certificate && findServiceNamed(new X509Certificate(certificate.raw));
  }
}

function originOf(call: ServerUnaryCall<unknown, unknown>): CallOrigin {
  const { authorization, certifiedService } = new CallCredentials(call);
  const forwardedFor = call.metadata.get('x-forwarded-for').join(',') || undefined;
  return { authorization, certifiedService, remoteAddress: withoutPort(call.getPeer()), forwardedFor };
}

/** `127.0.0.1:50000` and `[::1]:50000`, as grpc-js writes them. */
function withoutPort(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

function requestIdOf(metadata: Metadata): string | undefined {
  return readRequestId(metadata.get(REQUEST_ID_HEADER)[0]);
}

function toMetadata(requestId: string, thrown?: unknown): Metadata {
  const metadata = new Metadata();
  metadata.set(REQUEST_ID_HEADER, requestId);
  const retryAfter = thrown instanceof ServiceError ? thrown.retryAfterSeconds : undefined;
  if (retryAfter !== undefined) metadata.set(RETRY_AFTER_HEADER, String(retryAfter));
  return metadata;
}

/** Notes in the trace that a piece belongs to, if it does to any, that it is sent. */
function sendTraced<Piece extends object>(method: string, piece: Piece): Piece {
  const parent = 'traceparent' in piece && piece.traceparent;
  if (!tracing || !parent || typeof parent !== 'string') return piece;
  const options = rpcSpan(method, 'producer');
  const span = tracing.begin({ ...options, name: `send ${options.name}`, parent });
  span.end();
  return { ...piece, traceparent: span.traceparent };
}

function serverSpan(method: string, metadata: Metadata): SpanOptions {
  return { ...rpcSpan(method, 'server'), parent: metadata.get('traceparent')[0]?.toString() };
}

function toFailure({ kind, message }: ServiceError): Failure {
  return { code: status[errorKinds[kind].grpc], details: message };
}

function msSince(startedAt: number): number {
  return Math.round(performance.now() - startedAt);
}
