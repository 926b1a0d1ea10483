import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  status,
} from '@grpc/grpc-js';
import { z } from 'zod';
import { MAX_BATCH_ITEMS } from '../coalescer.js';
import { errorKinds, ServiceError, toServiceError } from '../errors.js';
import { parseInput } from '../input.js';
import { type Logger, SLOW_REQUEST_MS } from '../log.js';
import { InFlight, type RequestContext } from '../request.js';
import { AnswerStream } from '../answer-stream.js';
import type { StreamRequest, StreamResponse } from './batch-streams.js';

/** An async function that takes parsed input. */
type Handle<Schema extends z.ZodType, Response> = (
  input: z.output<Schema>,
  context: RequestContext,
) => Promise<Response>;

/** Makes a grpc-js handler of an async function that takes parsed input. */
export type UnaryAdapter = <Request, Schema extends z.ZodType, Response>(
  schema: Schema,
  handle: Handle<Schema, Response>,
) => handleUnaryCall<Request, Response>;

/** The same for a stream: each request is answered like a call of its own, as soon as it can be, with its number. */
export type StreamAdapter = <Request, Schema extends z.ZodType, Response>(
  schema: Schema,
  handle: Handle<Schema, Response>,
) => handleBidiStreamingCall<StreamRequest<Request>, StreamResponse<Response>>;

/**
 * Makes a grpc-js handler of a function that resolves to what the caller is to be sent, piece by piece. The next piece is only
 * asked for once the caller has room for it. The signal is aborted when the caller has gone, does not
 * take anything for a while, or the server stops.
 */
export type ServerStreamAdapter = <Request, Schema extends z.ZodType, Response>(
  schema: Schema,
  handle: (input: z.output<Schema>, signal: AbortSignal) => Promise<AsyncIterable<Response>>,
) => handleServerStreamingCall<Request, Response>;

/**
 * Makes what handles a batch out of what handles one item, for `unary` and `stream`: the request has a list of items
 * in one field, and the response their `results` in the same order. An item that fails, fails alone.
 */
export type BatchAdapter = <Schema extends z.ZodType, Result>(
  field: string,
  schema: Schema,
  handle: Handle<Schema, Result>,
) => [BatchSchema, Handle<BatchSchema, { results: (Result | Failure)[] }>];

type BatchSchema = z.ZodType<Record<string, unknown[]>>;

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
}

/** A list of items for one call to a batch method. */
export function batchOf<Item extends z.ZodType>(item: Item) {
  return z.array(item).max(MAX_BATCH_ITEMS, `must be ${MAX_BATCH_ITEMS} items at the most`);
}

/**
 * Creates the adapters that all of a server's methods share: they bound how many calls run at once, parse the
 * requests, pass the caller's deadline on, and turn whatever is thrown into a status.
 *
 * @param drain once it is aborted, the streams take no further request, and end when what they took is answered
 */
export function createHandlerAdapters(
  options: { maxInFlight: number; requestTimeoutMs: number; logger: Logger; slowCallerMs?: number },
  drain: AbortSignal,
): HandlerAdapters {
  const { logger, slowCallerMs } = options;
  const inFlight = new InFlight(options.maxInFlight);

  const describe = (method: string, thrown: unknown): Failure => {
    const error = toServiceError(thrown);
    logger[error.kind === 'internal' ? 'error' : 'info']({ method, err: error.cause ?? error }, 'failed');
    return toFailure(error);
  };

  /** Resolves to the response, or to how it failed. */
  const answer = async <Response>(
    method: string,
    callerDeadline: number,
    work: (context: RequestContext) => Promise<Response>,
  ): Promise<{ response: Response } | { failure: Failure }> => {
    const startedAt = Date.now();
    const context = { deadline: Math.min(callerDeadline, startedAt + options.requestTimeoutMs) };
    try {
      const response = await inFlight.run(context, async () => work(context));
      const durationMs = Date.now() - startedAt;
      logger[durationMs < SLOW_REQUEST_MS ? 'debug' : 'info']({ method, durationMs }, 'answered');
      return { response };
    } catch (thrown) {
      return { failure: describe(method, thrown) };
    }
  };

  const unary: UnaryAdapter = (schema, handle) => (call, callback) => {
    const reply = async () => {
      const outcome = await answer(call.getPath(), Number(call.getDeadline()), async (context) =>
        handle(parseInput(schema, call.request), context),
      );
      if ('failure' in outcome) callback(outcome.failure);
      else callback(null, outcome.response);
    };
    void reply();
  };

  const stream: StreamAdapter = (schema, handle) => (call) => {
    const method = call.getPath();
    let isEnding = false;
    let underWay = 0;
    const endWhenDone = () => {
      if (isEnding && underWay === 0) call.end();
    };
    const end = () => {
      isEnding = true;
      endWhenDone();
    };
    const reply = async ({ number = 0, timeout_ms = Infinity, request }: StreamRequest<unknown>) => {
      const outcome = await answer(method, Date.now() + timeout_ms, async (context) =>
        handle(parseInput(schema, request ?? null), context),
      );
      if (!call.cancelled) call.write({ number, ...('failure' in outcome ? outcome.failure : outcome) });
    };
    call.on('data', (request) => {
      if (isEnding) return;
      underWay++;
      void reply(request).finally(() => {
        underWay--;
        endWhenDone();
      });
    });
    call.on('end', end);
    if (drain.aborted) end();
    drain.addEventListener('abort', end);
    call.on('close', () => drain.removeEventListener('abort', end));
  };

  const serverStream: ServerStreamAdapter = (schema, handle) => (call) => {
    const send = async () => {
      const answers = new AnswerStream(call, drain, slowCallerMs);
      try {
        const pieces = await handle(parseInput(schema, call.request), answers.signal);
        // Tells the caller that it is served, before there is anything to say.
        call.sendMetadata(new Metadata());
        await answers.send(pieces, (piece) => call.write(piece));
        call.end();
      } catch (thrown) {
        if (call.cancelled) return;
        const { reason } = answers;
        call.emit('error', reason ? toFailure(reason) : describe(call.getPath(), thrown));
      } finally {
        answers.end();
      }
    };
    void send();
  };

  const batch: BatchAdapter = (field, schema, handle) => [
    z.object({ [field]: batchOf(z.unknown()) }),
    async (request, context) => {
      const settle = async (item: unknown) => {
        try {
          return await handle(parseInput(schema, item), context);
        } catch (thrown) {
          return describe(`item of ${field}`, thrown);
        }
      };
      return { results: await Promise.all((request[field] ?? []).map(settle)) };
    },
  ];

  return { unary, stream, serverStream, batch };
}

function toFailure({ kind, message }: ServiceError): Failure {
  return { code: status[errorKinds[kind].grpc], details: message };
}
