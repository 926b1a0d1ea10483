import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ServiceName } from '../access/callers.js';
import { ownTokens } from '../access/identity.js';
import { type ErrorKind, errorKinds, readRetryAfter, ServiceError } from '../errors.js';
import type { Component, Dependency } from '../lifecycle.js';
import type { Logger } from '../log.js';
import { httpClientRequestSeconds, peerUp } from '../metrics.js';
import type { RequestContext } from '../request.js';
import { REQUEST_ID_HEADER } from '../request-id.js';
import { type Span, tracing } from '../tracing.js';
import { ask, type Question } from './ask.js';

const PROBE_INTERVAL_MS = 5_000;

const kindsByStatus = new Map<number, ErrorKind>(
  (
    [
      'invalid',
      'unauthenticated',
      'forbidden',
      'notFound',
      'conflict',
      'mismatch',
      'tooLarge',
      'tooMany',
    ] as const
  ).map((kind) => [errorKinds[kind].http, kind]),
);
const refusal = z.object({ message: z.string() });

/** One request to another service's REST door. */
export interface RestCall<Reply extends z.ZodType> {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: unknown;
  /** What a reply has to look like. */
  reply: Reply;
}

interface Answer {
  status: number;
  body: unknown;
  retryAfterMs: number | undefined;
}

/** Another service, called through its REST door. */
export class RestPeer implements Component, Dependency {
  #isUp = false;
  readonly #stopped = new AbortController();

  /**
   * @param name the peer's name, for people
   * @param service which service it is: it shows that it is, where there is TLS, and a token that shows who is calling is for its eyes alone
   * @param address `host:port`
   * @param timeoutMs how long a call may take, unless the caller's own deadline is sooner
   */
  constructor(
    readonly name: string,
    private readonly service: ServiceName,
    private readonly address: string,
    private readonly timeoutMs: number,
    private readonly logger: Logger,
  ) {
    peerUp.add({ peer: name }, () => Number(this.#isUp));
  }

  /** Whether it could be reached when last tried. */
  get isUp(): boolean {
    return this.#isUp;
  }

  start(): void {
    void this.#probe();
  }

  stop(): void {
    this.#stopped.abort();
  }

  /**
   * Makes a call for a caller of our own: what the peer refuses, that caller is told, in the peer's words.
   *
   * @throws {ServiceError} of the kind that the peer's status stands for; `unavailable` or `tooSlow` for a peer in
   *   trouble.
   */
  async relay<Reply extends z.ZodType>(
    context: RequestContext,
    call: RestCall<Reply>,
  ): Promise<z.output<Reply>> {
    if (!tracing) return this.#relay(context, call);
    const attributes = { 'http.request.method': call.method, 'peer.service': this.name };
    // Without the path, which may hold an email.
    return tracing.trace({ name: call.method, kind: 'client', attributes }, (span) =>
      this.#relay(context, call, span),
    );
  }

  async #relay<Reply extends z.ZodType>(
    { deadline, requestId, userToken, findClientAddress }: RequestContext,
    { method, path, body, reply }: RestCall<Reply>,
    span?: Span,
  ): Promise<z.output<Reply>> {
    const timeoutMs = Math.max(0, Math.min(deadline - Date.now(), this.timeoutMs));
    const clientAddress = await findClientAddress?.();
    const token = userToken ?? (await ownTokens?.current(this.service));
    const response = await this.#measure(method, path, {
      method,
      headers: {
        ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        ...(requestId === undefined ? {} : { [REQUEST_ID_HEADER]: requestId }),
        ...(clientAddress === undefined ? {} : { 'X-Forwarded-For': clientAddress }),
        ...(span && { traceparent: span.traceparent }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    span?.set({ 'http.response.status_code': response.status });
    if (response.status < 300) return reply.parse(response.body);
    const kind = kindsByStatus.get(response.status);
    if (kind !== undefined) {
      const { retryAfterMs } = response;
      throw new ServiceError(kind, refusal.parse(response.body).message, { retryAfterMs });
    }
    if (response.status >= 503) throw this.#unavailable();
    throw new Error(`${this.name} answered ${method} ${path} with ${response.status}`);
  }

  async #measure(method: string, path: string, options: Question) {
    const startedAt = performance.now();
    let answered = 0;
    try {
      const response = await this.#fetch(path, options);
      answered = response.status;
      return response;
    } finally {
      const labels = { peer: this.name, method, status: String(answered) };
      httpClientRequestSeconds.observe(labels, (performance.now() - startedAt) / 1_000);
    }
  }

  async #fetch(path: string, options: Question): Promise<Answer> {
    try {
      const { status, text, retryAfter } = await ask(this.service, this.address, path, options);
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      this.#isUp = true;
      return { status, body, retryAfterMs: readRetryAfter(retryAfter) };
    } catch (error) {
      this.logger.debug({ peer: this.name, err: error }, 'call failed');
      if (error instanceof SyntaxError) throw error;
      if (error instanceof Error && error.name === 'TimeoutError') {
        throw new ServiceError('tooSlow', `${this.name} did not answer in time; try again shortly`, {
          cause: error,
        });
      }
      this.#isUp = false;
      throw this.#unavailable(error);
    }
  }

  #unavailable(cause?: unknown): ServiceError {
    return new ServiceError('unavailable', `${this.name} is not available at the moment; try again shortly`, {
      cause,
    });
  }

  /** Finds out again and again whether it can be reached, as a gRPC channel does by itself. */
  async #probe(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#fetch('/healthz', { signal: AbortSignal.timeout(this.timeoutMs) }).catch(() => {});
      await sleep(PROBE_INTERVAL_MS, undefined, { signal }).catch(() => {});
    }
  }
}
