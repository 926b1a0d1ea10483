import { setMaxListeners } from 'node:events';
import { isIPv6 } from 'node:net';
import {
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { AccessControl } from '../access/access-control.js';
import type { ClientAddresses } from '../access/client-addresses.js';
import type { ProcessConfig } from '../config.js';
import type { Component, VitalDependency } from '../lifecycle.js';
import { listenError } from '../listen.js';
import type { Logger } from '../log.js';
import { ownCertificates } from '../tls/certificates.js';
import { createHandlerAdapters, type HandlerAdapters } from './handlers.js';
import { createReflection } from './reflection.js';
import { SecureDoor } from './secure-door.js';

/** What a gRPC door says about its service. */
export interface GrpcService {
  /** The service's full name, package included. */
  name: string;
  definition: ServiceDefinition;
  access: AccessControl;
  /** Tells whom it counts, where it does. */
  clients?: ClientAddresses;
  /** What the service can't serve without: while one is away, health is NOT_SERVING. */
  dependencies: readonly VitalDependency[];
}

/** The gRPC door of a service, with health and reflection beside the service itself. */
export class GrpcServer implements Component {
  readonly #server: Server;
  /** Undefined where nothing is encrypted. */
  readonly #secureDoor: SecureDoor | undefined;
  readonly #health: HealthImplementation;
  /** Those of health and reflection: the service's own end themselves once the door is draining. */
  readonly #openStreams = new Set<ServerInterceptingCallInterface>();
  readonly #draining = new AbortController();

  constructor(
    private readonly config: ProcessConfig & { grpcPort: number },
    private readonly logger: Logger,
    private readonly service: GrpcService,
    createHandlers: (adapters: HandlerAdapters) => UntypedServiceImplementation,
  ) {
    setMaxListeners(0, this.#draining.signal);
    this.#server = new Server({
      interceptors: [
        (method, call) => {
          const isOwn = method.path.startsWith(`/${service.name}/`);
          return this.#intercept(method.responseStream && !isOwn, call);
        },
      ],
      // Above the bound on calls under way, so that those beyond it are refused rather than held back unheard.
      'grpc.max_concurrent_streams': 2 * config.maxInFlight,
      // Nobody is served its figures, and keeping them takes a twentieth of the cheapest call.
      'grpc.enable_channelz': 0,
      // Finds out about a caller that vanished without closing its connection: it may have left streams behind.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    this.#server.addService(
      service.definition,
      createHandlers(createHandlerAdapters({ ...config, logger }, service, this.#draining.signal)),
    );
    this.#health = new HealthImplementation();
    this.#updateHealth();
    this.#health.addToServer(this.#server);
    if (config.hasReflection) createReflection(service.name).addToServer(this.#server);
    for (const dependency of service.dependencies) dependency.onChange(() => this.#updateHealth());
    this.#secureDoor = ownCertificates && new SecureDoor(this.#server, ownCertificates, logger);
  }

  /** @throws when the port is taken. */
  async start(): Promise<void> {
    const { host, grpcPort } = this.config;
    const port = (await this.#secureDoor?.listen(host, grpcPort)) ?? (await this.#bind(host, grpcPort));
    this.logger.info({ port }, 'gRPC listening');
  }

  /** Tells health watchers, refuses new calls, lets those under way finish, and ends the streams. */
  async stop(graceMs: number): Promise<void> {
    this.#draining.abort();
    this.#updateHealth();
    const force = setTimeout(() => this.#server.forceShutdown(), graceMs);
    this.#secureDoor?.close();
    const drained = new Promise((resolve) => this.#server.tryShutdown(resolve));
    for (const stream of this.#openStreams) {
      stream.sendStatus({ code: status.UNAVAILABLE, details: 'The server is shutting down; connect again' });
    }
    await drained;
    clearTimeout(force);
    this.#secureDoor?.cutOff();
  }

  async #bind(host: string, port: number): Promise<number> {
    const address = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
        if (error) reject(listenError(address, error));
        else resolve(bound);
      });
    });
  }

  #updateHealth(): void {
    const isServing =
      !this.#draining.signal.aborted && this.service.dependencies.every((dependency) => dependency.isUp);
    for (const name of ['', this.service.name]) {
      this.#health.setStatus(name, isServing ? 'SERVING' : 'NOT_SERVING');
    }
  }

  /** Remembers the open streams: nothing else could end them when the process stops. */
  #intercept(isRemembered: boolean, call: ServerInterceptingCallInterface): ServerInterceptingCall {
    if (!isRemembered) return new ServerInterceptingCall(call);
    this.#openStreams.add(call);
    const forget = () => this.#openStreams.delete(call);
    return new ServerInterceptingCall(call, {
      start: (next) => next({ onCancel: forget }),
      sendStatus: (result, next) => {
        forget();
        next(result);
      },
    });
  }
}
