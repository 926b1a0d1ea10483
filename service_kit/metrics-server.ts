import type { IncomingMessage, ServerResponse } from 'node:http';
import { collectDefaultMetrics } from 'prom-client';
import { createHttpServer, type HttpServer } from './http-server.js';
import type { Component } from './lifecycle.js';
import { listen } from './listen.js';
import type { Logger } from './log.js';
import { registry } from './metrics.js';

/**
 * How often it is looked how late the event loop is. 100 times a second, as by default, wakes every process as often, and
 * took a third of the CPU time of an idle suite. The lag that is told includes the interval.
 */
const EVENT_LOOP_INTERVAL_MS = 100;

/** Has the metrics tell of the process itself, too: its event loop, its memory, its CPU time. */
export function observeProcess(): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_INTERVAL_MS });
}

/** Serves the metrics on a port of their own, for processes that serve no HTTP and for networks that keep the two apart. */
export class MetricsServer implements Component {
  readonly #http: HttpServer;

  constructor(
    private readonly config: { host: string; metricsPort: number },
    private readonly logger: Logger,
  ) {
    this.#http = createHttpServer((request, response) => {
      serve(request, response).catch((error: unknown) => {
        // A process does not die of being looked at.
        logger.error({ err: error }, 'the metrics could not be told');
        response.destroy();
      });
    }, logger);
  }

  /** @throws when the port is taken. */
  async start(): Promise<void> {
    const { host, metricsPort } = this.config;
    await listen(this.#http.server, host, metricsPort);
    this.logger.info({ port: metricsPort }, 'metrics listening');
  }

  async stop(): Promise<void> {
    const { server, cutOff } = this.#http;
    const closed = new Promise((resolve) => server.close(resolve));
    cutOff();
    await closed;
  }
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' || !['/metrics', '/healthz'].includes(request.url ?? '')) {
    response.writeHead(404).end('There is nothing here but GET /metrics and GET /healthz\n');
    return;
  }
  if (request.url === '/healthz') {
    // That the process lives, whatever it lacks: a gRPC door has no other way to tell the two apart.
    response.writeHead(200).end('alive\n');
    return;
  }
  response.writeHead(200, { 'Content-Type': registry.contentType }).end(await registry.metrics());
}
