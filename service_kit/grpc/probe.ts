import { connect } from 'node:http2';
import { buffer as readBuffer } from 'node:stream/consumers';
import type { ServiceName } from '../access/callers.js';
import { ownCertificates } from '../tls/certificates.js';

/** What a gRPC door says of its health. */
export type GrpcHealth = 'SERVING' | 'NOT_SERVING';

/**
 * A `grpc.health.v1.HealthCheckRequest` that asks for all of the door: an empty message, behind the five bytes that say that it is
 * not compressed, and how long it is (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 */
const REQUEST = Buffer.from([0, 0, 0, 0, 0]);

/** Every `HealthCheckResponse` that tells something, likewise: field 1 with its value. */
const replies: readonly { bytes: Buffer; health: GrpcHealth }[] = [
  { bytes: Buffer.from([0, 0, 0, 0, 2, 0x08, 1]), health: 'SERVING' },
  { bytes: Buffer.from([0, 0, 0, 0, 2, 0x08, 2]), health: 'NOT_SERVING' },
];

/**
 * Asks the gRPC door of a service for its health. Resolves to undefined where it does not answer in time.
 *
 * @NOTE By HTTP/2 alone: to load grpc-js takes longer than all else that a container's health check does.
 */
export async function readGrpcHealth(
  service: ServiceName,
  address: string,
  timeoutMs: number,
): Promise<GrpcHealth | undefined> {
  // A replica has many names: what its certificate has to name is the service.
  const session = ownCertificates
    ? connect(`https://${address}`, { ...ownCertificates.current, servername: service })
    : connect(`http://${address}`);
  // What ends the connection ends the stream, too, which tells.
  session.on('error', () => {});
  try {
    const stream = session.request(
      {
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Check',
        'content-type': 'application/grpc',
        te: 'trailers',
      },
      { signal: AbortSignal.timeout(timeoutMs) },
    );
    stream.end(REQUEST);
    const reply = await readBuffer(stream);
    return replies.find(({ bytes }) => bytes.equals(reply))?.health;
  } catch {
    return undefined;
  } finally {
    session.destroy();
  }
}

/** Tells whether the gRPC door of a service says that it serves, in time. */
export async function isGrpcServing(
  service: ServiceName,
  address: string,
  timeoutMs: number,
): Promise<boolean> {
  return (await readGrpcHealth(service, address, timeoutMs)) === 'SERVING';
}
