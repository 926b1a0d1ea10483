import type { Server } from 'node:net';

/** Has a server accept connections. @throws what {@link listenError} makes of a port that can't be had. */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(`${host}:${port}`, error)));
    server.listen(port, host, resolve);
  });
}

/** Says why a server can't listen, in words for the person who started it. */
export function listenError(address: string, cause: Error): Error {
  const reason = cause.message.includes('EADDRINUSE') ? 'the port is taken' : cause.message;
  return new Error(`cannot listen on ${address}: ${reason}`, { cause });
}
