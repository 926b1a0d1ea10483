import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { Logger } from './log.js';
import { ownCertificates } from './tls/certificates.js';
import { guard, secureServerOptions } from './tls/secure-server.js';

/** A server of HTTP, by TLS where this process has certificates. */
export interface HttpServer {
  server: Server | SecureServer;
  /** Cuts off all connections. */
  cutOff: () => void;
}

/** Creates one. It listens to nothing yet. */
export function createHttpServer(handle: RequestListener, logger: Logger): HttpServer {
  if (!ownCertificates) {
    const server = createServer(handle);
    return { server, cutOff: () => server.closeAllConnections() };
  }
  const server = createSecureServer(secureServerOptions(ownCertificates), handle);
  return { server, cutOff: guard(server, ownCertificates, logger) };
}
