import { TLSSocket } from 'node:tls';
import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import type { z } from 'zod';
import type { AccessControl, Credentials } from '../access/access-control.js';
import type { Caller as KnownCaller, ServiceName } from '../access/callers.js';
import type { CallOrigin, ClientAddresses } from '../access/client-addresses.js';
import { type AccessRule, onlyServices } from '../access/rules.js';
import { ServiceError } from '../errors.js';
import type { Dependency } from '../lifecycle.js';
import { type Logger, SLOW_REQUEST_MS } from '../log.js';
import { httpServerRequestSeconds, registry } from '../metrics.js';
import { InFlight, type RequestContext } from '../request.js';
import { newRequestId, readRequestId, REQUEST_ID_HEADER } from '../request-id.js';
import { findCertifiedService } from '../tls/certified-service.js';
import { tracing } from '../tracing.js';
import { serveDocumentation } from './documentation.js';
import { answerError } from './errors.js';
import { sendEvents, type ServerSentEvent } from './event-stream.js';
import type { DescribedDoor } from './openapi.js';
import { BEARER, JsonText, type Operation, readInput } from './operation.js';
import { sendPieces } from './piece-stream.js';
import {
  checkLiveness,
  checkReadiness,
  describeService,
  notReady,
  readMetrics,
} from './process-operations.js';
import { routeOf, toTemplate } from './route.js';
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

const BODY_LIMIT_BYTES = 100 * 1024;

/** What a REST door says about its service. */
export interface RestService extends Omit<DescribedDoor, 'operations' | 'asksForTokens'> {
  access: AccessControl;
  /** Tells whom it counts, where it does. */
  clients?: ClientAddresses;
  /** What the service can't serve without. */
  dependencies: readonly Dependency[];
  /** Other services that it calls: named in `/readyz`, and never a reason for a 503. */
  peers: readonly Dependency[];
  /** What every request passes first: it answers, or lets it go on. */
  middleware?: readonly RequestHandler[];
}

/** The request that an operation is asked by, for what its input does not tell, and the answer to it. */
export interface Exchange<Caller> {
  request: Request;
  response: Response;
  caller: Caller;
}

/**
 * Tells who is calling, before what is asked for is looked at, and the token to show others in the caller's name.
 *
 * @throws {ServiceError} to turn it away.
 */
export type Authenticate<Caller> = (
  request: Request,
  context: RequestContext,
) => Promise<{ caller: Caller; userToken?: string }>;

/** Adds an operation to a door. Nothing is added before it is told what the operation does. */
export interface OperationAdder<Input extends z.ZodObject, Content, Caller> {
  /** Has it answered with what `handle` resolves to. */
  do(
    handle: (
      input: z.output<Input>,
      context: RequestContext,
      exchange: Exchange<Caller>,
    ) => Promise<Content | JsonText>,
  ): void;
  /** Has it answered with the JSON that `findPieces` resolves to the pieces of, for as long as the caller takes them. */
  pieces(
    findPieces: (
      input: z.output<Input>,
      context: RequestContext,
      signal: AbortSignal,
    ) => Promise<AsyncIterable<string>>,
  ): void;
  /** Has it answered with server-sent events, those that `findEvents` resolves to, for as long as the caller stays. */
  stream(
    findEvents: (
      input: z.output<Input>,
      caller: Caller,
      signal: AbortSignal,
    ) => Promise<AsyncIterable<ServerSentEvent>>,
  ): void;
}

/** Begins to add an operation, for those whom the rule lets in, or who are known by a way of the door's own. */
export interface On {
  <Input extends z.ZodObject, Content>(
    operation: Operation<Input, Content>,
    rule: AccessRule<z.output<Input>>,
  ): OperationAdder<Input, Content, undefined>;
  <Input extends z.ZodObject, Content, Caller>(
    operation: Operation<Input, Content>,
    authenticate: Authenticate<Caller>,
  ): OperationAdder<Input, Content, Caller>;
}

/** Adds the operations of a service. */
export type AddOperations = (on: On) => void;

/**
 * Creates the REST door of a service: JSON in, JSON out, errors included. Beside the operations that `addOperations` adds
 * there are those that every process has, and a description of all.
 */
export function createRestApp(
  service: RestService,
  config: { requestTimeoutMs: number; maxInFlight: number },
  logger: Logger,
  drain: AbortSignal,
  addOperations: AddOperations,
): Express {
  const { middleware = [] } = service;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  // `DELETE /notifications/` is one whose id got lost: it must not be taken for one that deletes them all.
  app.enable('strict routing');
  // Answers change all the time: to hash each for a later request costs more than it can save.
  app.disable('etag');
  app.use(nameRequests);
  if (tracing) app.use(traceRequests(tracing));
  app.use(logRequests(logger), ...middleware);

  const operations: Operation[] = [];
  addProcessOperations(app, service, operations, drain);
  addOperations(
    adderTo(app, service, operations, new InFlight(config.maxInFlight), config.requestTimeoutMs, drain),
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

/** Adds what every door offers. None of it counts as work: it is answered however much is under way. */
function addProcessOperations(
  app: Express,
  service: RestService,
  operations: readonly Operation[],
  drain: AbortSignal,
): void {
  const { name, access, dependencies, peers } = service;

  app.get(describeService.path, (_request, response) => {
    const answer: z.input<typeof describeService.success.body> = {
      success: true,
      message: `This is ${name}`,
      service: name,
      routes: operations.map(({ method, path }) => `${method.toUpperCase()} ${toTemplate(path)}`),
      documentation: '/docs',
    };
    response.json(answer);
  });
  app.get(checkLiveness.path, (_request, response) => {
    const answer: z.input<typeof checkLiveness.success.body> = {
      success: true,
      message: 'The process is alive',
    };
    response.json(answer);
  });
  app.get(readMetrics.path, async (request, response) => {
    const rule = onlyServices();
    access.check(rule, await identify(access, rule, request), undefined);
    response.type(registry.contentType).send(await registry.metrics());
  });
  app.get(checkReadiness.path, (_request, response) => {
    const missing = namesOf(dependencies.filter(({ isUp }) => !isUp));
    const unreachable_peers = namesOf(peers.filter(({ isUp }) => !isUp));
    const problem = drain.aborted
      ? 'the process is stopping'
      : missing.length > 0 && `${missing.join(', ')} can't be reached`;
    if (problem) {
      const answer: z.input<typeof notReady.body> = {
        success: false,
        message: `Not ready: ${problem}`,
        missing,
        unreachable_peers,
      };
      response.status(notReady.status).json(answer);
    } else {
      const answer: z.input<typeof checkReadiness.success.body> = {
        success: true,
        message: 'Ready',
        missing,
        unreachable_peers,
      };
      response.json(answer);
    }
  });
  serveDocumentation(app, () => ({ ...service, operations, asksForTokens: access.isRequired }));
}

function namesOf(dependencies: readonly Dependency[]): string[] {
  return dependencies.map(({ name }) => name);
}

/** Makes what adds operations to `app`, and lists them in `operations`. */
function adderTo(
  app: Express,
  { access, clients }: RestService,
  operations: Operation[],
  inFlight: InFlight,
  requestTimeoutMs: number,
  drain: AbortSignal,
): On {
  const contextOf = (request: Request, { locals }: Response): RequestContext => ({
    requestId: locals.requestId,
    deadline: Date.now() + requestTimeoutMs,
    findClientAddress: clients && (async () => clients.find(originOf(request))),
  });

  const begin = <Input extends z.ZodObject, Content, Caller>(
    operation: Operation<Input, Content>,
    admit: (request: Request, context: RequestContext) => Promise<Admitted<Input, Caller>>,
  ): OperationAdder<Input, Content, Caller> => ({
    do: (handle) => {
      const { method, path, success, bodyLimitBytes = BODY_LIMIT_BYTES } = operation;
      app[method](path, express.json({ limit: bodyLimitBytes }), async (request, response) => {
        const context = contextOf(request, response);
        await inFlight.run(context, async () => {
          const { caller, userToken, input } = await admit(request, context);
          const content = await handle(input, { ...context, userToken }, { request, response, caller });
          response.status(success.status);
          if (content === undefined) response.end();
          else if (content instanceof JsonText) response.type('json').send(content.bytes);
          else response.json(content);
        });
      });
    },
    pieces: (findPieces) => {
      app.get(operation.path, async (request, response) =>
        sendPieces(request, response, async (signal) => {
          const context = contextOf(request, response);
          const { input } = await admit(request, context);
          return findPieces(input, context, signal);
        }),
      );
    },
    stream: (findEvents) => {
      app.get(operation.path, async (request, response) =>
        sendEvents(request, response, drain, async (signal) => {
          const { caller, input } = await admit(request, contextOf(request, response));
          return findEvents(input, caller, signal);
        }),
      );
    },
  });

  function on<Input extends z.ZodObject, Content>(
    operation: Operation<Input, Content>,
    rule: AccessRule<z.output<Input>>,
  ): OperationAdder<Input, Content, undefined>;
  function on<Input extends z.ZodObject, Content, Caller>(
    operation: Operation<Input, Content>,
    authenticate: Authenticate<Caller>,
  ): OperationAdder<Input, Content, Caller>;
  function on<Input extends z.ZodObject, Content, Caller>(
    operation: Operation<Input, Content>,
    by: AccessRule<z.output<Input>> | Authenticate<Caller>,
  ): OperationAdder<Input, Content, Caller | undefined> {
    if (typeof by === 'function') {
      operations.push(operation);
      return begin(operation, async (request, context) => {
        const { caller, userToken } = await by(request, context);
        return { caller, userToken, input: readInput(operation, request) };
      });
    }
    const isSecured = access.isRequired && !by.isOpen;
    operations.push(isSecured ? { ...operation, security: BEARER } : operation);
    return begin(operation, async (request) => {
      const known = await identify(access, by, request);
      const input = readInput(operation, request);
      access.check(by, known, input);
      return { caller: undefined, userToken: undefined, input };
    });
  }
  return on;
}

/** What is known of a request once its caller is let in. */
interface Admitted<Input extends z.ZodObject, Caller> {
  caller: Caller;
  userToken: string | undefined;
  input: z.output<Input>;
}

/** What a request shows of who makes it, looked up where it is needed. */
class RequestCredentials implements Credentials {
  constructor(private readonly request: Request) {}

  get authorization(): string | undefined {
    return this.request.headers.authorization;
  }

  get certifiedService(): ServiceName | undefined {
    const { socket } = this.request;
    return socket instanceof TLSSocket ? findCertifiedService(socket) : undefined;
  }
}

function originOf(request: Request): CallOrigin {
  const { authorization, certifiedService } = new RequestCredentials(request);
  const forwardedFor = request.headers['x-forwarded-for']?.toString();
  return { authorization, certifiedService, remoteAddress: request.socket.remoteAddress, forwardedFor };
}

async function identify(
  access: AccessControl,
  rule: AccessRule<never>,
  request: Request,
): Promise<KnownCaller | undefined> {
  try {
    return await access.identify(rule, new RequestCredentials(request));
  } catch (error) {
    const isUnknown = error instanceof ServiceError && error.kind === 'unauthenticated';
    // https://www.rfc-editor.org/rfc/rfc6750#section-3
    if (isUnknown) request.res?.setHeader('WWW-Authenticate', 'Bearer');
    throw error;
  }
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
