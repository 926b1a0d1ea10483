import type { AddressInfo } from 'node:net';
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { listen } from '../listen.js';
import type { Logger } from '../log.js';
import type { Certificates } from '../tls/certificates.js';
import { guard, secureServerOptions } from '../tls/secure-server.js';

/**
 * Accepts the connections of a gRPC server by TLS, and hands them over. What grpc-js would listen with lets nobody say that a
 * certificate may be missing, and must not be bad.
 */
export class SecureDoor {
  readonly #door: TlsServer;
  readonly #cutOff: () => void;

  constructor(server: Server, certificates: Certificates, logger: Logger) {
    // Insecure to grpc-js, for which what it is handed is decrypted already.
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#door = createServer({ ...secureServerOptions(certificates), ALPNProtocols: ['h2'] });
    this.#cutOff = guard(this.#door, certificates, logger);
    this.#door.on('secureConnection', (socket: TLSSocket) => {
      if (!this.#door.listening) socket.destroy();
      if (!socket.destroyed) injector.injectConnection(socket);
    });
  }

  /** Resolves to the port. @throws when it is taken. */
  async listen(host: string, port: number): Promise<number> {
    await listen(this.#door, host, port);
    const address = this.#door.address();
    return isAddressInfo(address) ? address.port : port;
  }

  /** Accepts no more connections. */
  close(): void {
    this.#door.close();
  }

  /** Cuts off all connections, those of which nothing has come yet among them. */
  cutOff(): void {
    this.#cutOff();
  }
}

function isAddressInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}
