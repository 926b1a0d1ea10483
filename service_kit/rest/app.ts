import { STATUS_CODES } from 'node:http';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { errorKinds, ServiceError, toServiceError } from '../errors.js';
import type { Dependency } from '../lifecycle.js';
import { type Logger, SLOW_REQUEST_MS } from '../log.js';
import { httpServerRequestSeconds, registry } from '../metrics.js';
import { InFlight, type RequestContext } from '../request.js';
import { newRequestId, readRequestId, REQUEST_ID_HEADER } from '../request-id.js';
import { tracing } from '../tracing.js';
import { type EventHandler, sendEvents } from './event-stream.js';
import { routeOf } from './route.js';
import { traceRequests } from './trace-requests.js';

declare global {
  namespace Express {
    interface Locals {
      /** What the request is called in the logs. */
      requestId: string;
      /** Set where the answer lasts as long as its caller stays. */
      isStream?: boolean;
      /** What is our own fault: only its line in the log says what it was. */
      fault?: unknown;
    }
  }
}

const PROBLEM_TYPE = 'application/problem+json';
const BODY_LIMIT_BYTES = 100 * 1024;

/** What a REST door says about its service. */
export interface RestService {
  /** The service's name, for people. */
  name: string;
  /** What the service can't serve without. */
  dependencies: readonly Dependency[];
  /** Other services that it calls: named in `/readyz`, and never a reason for a 503. */
  peers: readonly Dependency[];
  /** What every request passes first: it answers, or lets it go on. */
  middleware?: readonly RequestHandler[];
}

/** A handler of one route. */
export type RouteHandler = (
  request: express.Request,
  response: express.Response,
  context: RequestContext,
) => Promise<void>;

/** Adds a route. */
export type AddRoute = (
  method: 'get' | 'post' | 'put' | 'delete',
  path: string,
  handle: RouteHandler,
  options?: { bodyLimitBytes: number },
) => void;

/** Adds a route that answers with server-sent events for as long as its caller stays. */
export type AddEventRoute = (path: string, handle: EventHandler) => void;

/** Adds the routes of a service. */
export type AddRoutes = (add: AddRoute, addEvents: AddEventRoute) => void;

/**
 * Creates the REST door of a service: JSON in, JSON out, errors included, with `/`, `/healthz` and `/readyz`
 * beside the routes that `addRoutes` adds.
 */
export function createRestApp(
  service: RestService,
  config: { requestTimeoutMs: number; maxInFlight: number },
  logger: Logger,
  drain: AbortSignal,
  addRoutes: AddRoutes,
): Express {
  const { name, dependencies, peers, middleware = [] } = service;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  // Answers change all the time: to hash each for a later request costs more than it can save.
  app.disable('etag');
  app.use(nameRequests);
  if (tracing) app.use(traceRequests(tracing));
  app.use(logRequests(logger), ...middleware);

  const routes: string[] = [];
  const listRoute = (method: string, path: string) =>
    routes.push(`${method.toUpperCase()} ${path.replace(/:(\w+)/g, '{$1}')}`);
  const inFlight = new InFlight(config.maxInFlight);

  app.get('/', (_request, response) => {
    response.json({ success: true, message: `This is ${name}`, service: name, routes });
  });
  app.get('/healthz', (_request, response) => {
    response.json({ success: true, message: 'The process is alive' });
  });
  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  app.get('/readyz', (_request, response) => {
    const missing = dependencies
      .filter((dependency) => !dependency.isUp)
      .map((dependency) => dependency.name);
    const unreachablePeers = peers.filter((peer) => !peer.isUp).map((peer) => peer.name);
    const problem = drain.aborted
      ? 'the process is stopping'
      : missing.length > 0 && `${missing.join(', ')} can't be reached`;
    response.status(problem ? 503 : 200).json({
      success: !problem,
      message: problem ? `Not ready: ${problem}` : 'Ready',
      missing,
      unreachable_peers: unreachablePeers,
    });
  });

  addRoutes(
    (method, path, handle, { bodyLimitBytes } = { bodyLimitBytes: BODY_LIMIT_BYTES }) => {
      const readBody = express.json({ limit: bodyLimitBytes });
      listRoute(method, path);
      app[method](path, readBody, async (request, response) => {
        const { requestId } = response.locals;
        const context = { requestId, deadline: Date.now() + config.requestTimeoutMs };
        await inFlight.run(context, async () => handle(request, response, context));
      });
    },
    (path, handle) => {
      listRoute('get', path);
      app.get(path, async (request, response) => sendEvents(request, response, drain, handle));
    },
  );

  app.use((request) => {
    throw new ServiceError(
      'notFound',
      `There is no ${request.method} ${request.path} here; GET / lists the routes`,
    );
  });
  app.use(answerError);
  return app;
}

/** Gives each request the id that it came with, or one of its own, and tells its caller which. */
const nameRequests: RequestHandler = (request, response, next) => {
  const requestId = readRequestId(request.headers[REQUEST_ID_HEADER]) ?? newRequestId();
  response.locals.requestId = requestId;
  response.setHeader('X-Request-Id', requestId);
  next();
};

/** Logs each request without its query, body or headers, which hold secrets. */
function logRequests(logger: Logger): RequestHandler {
  return (request, response, next) => {
    const { method, path } = request;
    const { requestId } = response.locals;
    const startedAt = performance.now();
    const log = () => {
      const { statusCode } = response;
      const elapsedMs = performance.now() - startedAt;
      const durationMs = Math.round(elapsedMs);
      const { fault, isStream } = response.locals;
      if (!isStream) {
        const labels = { method, route: routeOf(request) ?? 'unknown', status: String(statusCode) };
        httpServerRequestSeconds.observe(labels, elapsedMs / 1_000);
      }
      const isSlow = durationMs >= SLOW_REQUEST_MS && !isStream;
      const level = fault !== undefined ? 'error' : statusCode >= 400 || isSlow ? 'info' : 'debug';
      const outcome = response.writableFinished ? 'answered' : 'abandoned';
      logger[level]({ requestId, method, path, statusCode, durationMs, err: fault }, outcome);
    };
    const logInItsTrace = tracing?.capture();
    // Comes in any case: after the answer, or when the caller went away.
    response.once('close', () => (logInItsTrace ? logInItsTrace(log) : log()));
    next();
  };
}

/**
 * The one place that turns an error into an HTTP answer: as all answers are, or as a problem (RFC 9457) where the caller
 * would rather have one.
 */
const answerError: ErrorRequestHandler = (thrown: unknown, request, response, next) => {
  const error = readingError(thrown) ?? toServiceError(thrown);
  if (error.kind === 'internal') response.locals.fault = error.cause ?? error;
  if (response.headersSent) {
    next(thrown);
    return;
  }
  const status = errorKinds[error.kind].http;
  response.status(status);
  if (request.accepts('application/json', PROBLEM_TYPE) === PROBLEM_TYPE) {
    response.type(PROBLEM_TYPE).json({ title: STATUS_CODES[status], status, detail: error.message });
  } else {
    response.json({ success: false, message: error.message });
  }
};

/** What Express and its body parser throw about a request that can't be read carries a 4xx status. */
function readingError(thrown: unknown): ServiceError | undefined {
  if (thrown instanceof ServiceError || !(thrown instanceof Error) || !('status' in thrown)) return undefined;
  if (typeof thrown.status !== 'number' || thrown.status < 400 || thrown.status > 499) return undefined;
  if (thrown.status === 413) {
    const limit = 'limit' in thrown ? `: at most ${String(thrown.limit)} bytes are accepted` : '';
    return new ServiceError('tooLarge', `The body is too large${limit}`);
  }
  if ('type' in thrown && thrown.type === 'entity.parse.failed') {
    return new ServiceError('invalid', 'The body is not valid JSON');
  }
  return new ServiceError(
    'invalid',
    'The request can not be read: check its path, content encoding and charset',
  );
}
