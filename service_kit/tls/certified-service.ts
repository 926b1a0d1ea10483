import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { type ServiceName, serviceName } from '../access/callers.js';

/** Finds the service that a certificate names as a DNS name; undefined where it names none, or several. */
export function findServiceNamed(certificate: X509Certificate): ServiceName | undefined {
  const named = serviceName.options.filter(
    (name) => certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined,
  );
  return named.length === 1 ? named[0] : undefined;
}

/**
 * Finds the service that the other end of a connection has shown a certificate of. It is the certificate that counts:
 * Node.js 20 calls a TLS 1.3 session that goes on from an earlier one authorized, whether or not there ever was one.
 */
export function findCertifiedService(socket: TLSSocket): ServiceName | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerX509Certificate();
  return certificate && findServiceNamed(certificate);
}
