import { type handleUnaryCall, status } from '@grpc/grpc-js';
import { z } from 'zod';
import { MAX_BATCH_ITEMS } from '../coalescer.js';
import { errorKinds, toServiceError } from '../errors.js';
import { parseInput } from '../input.js';
import { type Logger, SLOW_REQUEST_MS } from '../log.js';
import { InFlight, type RequestContext } from '../request.js';

/** Makes a grpc-js handler of an async function that takes parsed input. */
export type UnaryAdapter = <Request, Schema extends z.ZodType, Response>(
  schema: Schema,
  handle: (input: z.output<Schema>, context: RequestContext) => Promise<Response>,
) => handleUnaryCall<Request, Response>;

/**
 * Makes the handler of a batch method out of what handles one item: the request has a list of items in one field, and
 * the response their `results` in the same order. An item that fails, fails alone.
 */
export type BatchAdapter = <Request, Schema extends z.ZodType, Result>(
  field: string,
  schema: Schema,
  handle: (item: z.output<Schema>, context: RequestContext) => Promise<Result>,
) => handleUnaryCall<Request, { results: (Result | Failure)[] }>;

/** How one call, or one item of a batch, failed. */
interface Failure {
  code: status;
  details: string;
}

/** What makes a service's functions into the handlers of its gRPC door. */
export interface HandlerAdapters {
  unary: UnaryAdapter;
  batch: BatchAdapter;
}

/** A list of items for one call to a batch method. */
export function batchOf<Item extends z.ZodType>(item: Item) {
  return z.array(item).max(MAX_BATCH_ITEMS, `must be ${MAX_BATCH_ITEMS} items at the most`);
}

/**
 * Creates the adapters that all of a server's methods share: they bound how many calls run at once, parse the
 * requests, pass the caller's deadline on, and turn whatever is thrown into a status.
 */
export function createHandlerAdapters(options: {
  maxInFlight: number;
  requestTimeoutMs: number;
  logger: Logger;
}): HandlerAdapters {
  const { logger } = options;
  const inFlight = new InFlight(options.maxInFlight);

  const describe = (method: string, thrown: unknown): Failure => {
    const error = toServiceError(thrown);
    logger[error.kind === 'internal' ? 'error' : 'info']({ method, err: error.cause ?? error }, 'failed');
    return { code: status[errorKinds[error.kind].grpc], details: error.message };
  };

  const unary: UnaryAdapter = (schema, handle) => (call, callback) => {
    const method = call.getPath();
    const startedAt = Date.now();
    const context = {
      deadline: Math.min(Number(call.getDeadline()), startedAt + options.requestTimeoutMs),
    };
    const answer = async () => {
      try {
        const response = await inFlight.run(context, async () =>
          handle(parseInput(schema, call.request), context),
        );
        const durationMs = Date.now() - startedAt;
        logger[durationMs < SLOW_REQUEST_MS ? 'debug' : 'info']({ method, durationMs }, 'answered');
        callback(null, response);
      } catch (thrown) {
        callback(describe(method, thrown));
      }
    };
    void answer();
  };

  const batch: BatchAdapter = (field, schema, handle) =>
    unary(z.object({ [field]: batchOf(z.unknown()) }), async (request, context) => {
      const settle = async (item: unknown) => {
        try {
          return await handle(parseInput(schema, item), context);
        } catch (thrown) {
          return describe(`item of ${field}`, thrown);
        }
      };
      return { results: await Promise.all((request[field] ?? []).map(settle)) };
    });

  return { unary, batch };
}
