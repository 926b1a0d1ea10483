import { setMaxListeners } from 'node:events';
import type { ProcessConfig } from '../config.js';
import { createHttpServer, type HttpServer } from '../http-server.js';
import type { Component } from '../lifecycle.js';
import { listen } from '../listen.js';
import type { Logger } from '../log.js';
import { type AddOperations, createRestApp, type RestService } from './app.js';

/** The REST door of a service. */
export class RestServer implements Component {
  readonly #http: HttpServer;
  /** Aborted when the process stops. */
  readonly #drain = new AbortController();

  constructor(
    private readonly config: ProcessConfig & { restPort: number },
    private readonly logger: Logger,
    service: RestService,
    addOperations: AddOperations,
  ) {
    setMaxListeners(0, this.#drain.signal);
    const app = createRestApp(service, config, logger, this.#drain.signal, addOperations);
    this.#http = createHttpServer((request, response) => {
      if (this.#drain.signal.aborted) response.setHeader('Connection', 'close');
      response.on('finish', () => {
        if (this.#drain.signal.aborted) setImmediate(() => this.#http.server.closeIdleConnections());
      });
      app(request, response);
    }, logger);
  }

  /** @throws when the port is taken. */
  async start(): Promise<void> {
    const { host, restPort } = this.config;
    await listen(this.#http.server, host, restPort);
    this.logger.info({ port: restPort }, 'REST listening');
  }

  /** Accepts no more connections, lets the requests under way finish, and closes the connections. */
  async stop(graceMs: number): Promise<void> {
    this.#drain.abort();
    const { server, cutOff } = this.#http;
    const force = setTimeout(cutOff, graceMs);
    await new Promise((resolve) => server.close(resolve));
    clearTimeout(force);
  }
}
