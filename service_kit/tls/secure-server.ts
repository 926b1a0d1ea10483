import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Server, TLSSocket, TlsOptions } from 'node:tls';
import type { Logger } from '../log.js';
import type { Certificates, CertificateSet } from './certificates.js';

/** Who has not said how to encrypt by then is cut off; Node.js would give two minutes. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** What a server that speaks TLS is made with. A caller is asked for a certificate, and may have none: users show tokens. */
export function secureServerOptions({ current }: Certificates): TlsOptions {
  return {
    ...contextOptions(current),
    requestCert: true,
    // Would refuse those without a certificate as well: see `guard`.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

function contextOptions(set: CertificateSet) {
  return {
    ...set,
    minVersion: 'TLSv1.2',
    // The certificates on both sides are looked at once with every connection: no session goes on from an earlier one, and none
    // comes with another certificate later, at which nobody would look.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  } as const;
}

/**
 * Has a server show the certificates of the moment, and cut off whoever shows one that is expired or of another authority.
 *
 * @returns what cuts off all connections, those of which nothing has come yet among them
 */
export function guard(server: Server, certificates: Certificates, logger: Logger): () => void {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  let lastReason: string | undefined;
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    // A caller that breaks off is no failure of ours.
    socket.on('error', () => {});
    if (socket.authorized || !socket.getPeerX509Certificate()) return;
    const reason = String(socket.authorizationError);
    logger[reason === lastReason ? 'debug' : 'warn'](
      { reason },
      'a caller with a bad certificate is refused',
    );
    lastReason = reason;
    socket.destroy();
  });
  const unfollow = certificates.follow((set) => server.setSecureContext(contextOptions(set)));
  server.once('close', unfollow);
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}
