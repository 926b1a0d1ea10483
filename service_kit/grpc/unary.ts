import { type handleUnaryCall, status } from '@grpc/grpc-js';
import type { z } from 'zod';
import { errorKinds, toServiceError } from '../errors.js';
import { parseInput } from '../input.js';
import type { Logger } from '../log.js';
import { InFlight, type RequestContext } from '../request.js';

/** Makes a grpc-js handler of an async function that takes parsed input. */
export type UnaryAdapter = <Request, Schema extends z.ZodType, Response>(
  schema: Schema,
  handle: (input: z.output<Schema>, context: RequestContext) => Promise<Response>,
) => handleUnaryCall<Request, Response>;

/**
 * Creates the adapter that all of a server's methods share: it bounds how many run at once, parses the
 * request, passes the caller's deadline on, and turns whatever is thrown into a status.
 */
export function createUnaryAdapter(options: {
  maxInFlight: number;
  requestTimeoutMs: number;
  logger: Logger;
}): UnaryAdapter {
  const { logger } = options;
  const inFlight = new InFlight(options.maxInFlight);
  return (schema, handle) => (call, callback) => {
    const method = call.getPath();
    const context = {
      deadline: Math.min(Number(call.getDeadline()), Date.now() + options.requestTimeoutMs),
    };
    const answer = async () => {
      try {
        const response = await inFlight.run(context, async () =>
          handle(parseInput(schema, call.request), context),
        );
        logger.debug({ method }, 'answered');
        callback(null, response);
      } catch (thrown) {
        const error = toServiceError(thrown);
        logger[error.kind === 'internal' ? 'error' : 'debug'](
          { method, err: error.cause ?? error },
          'failed',
        );
        callback({ code: status[errorKinds[error.kind].grpc], details: error.message });
      }
    };
    void answer();
  };
}
