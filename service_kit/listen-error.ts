/** Says why a server can't listen, in words for the person who started it. */
export function listenError(address: string, cause: Error): Error {
  const reason = cause.message.includes('EADDRINUSE') ? 'the port is taken' : cause.message;
  return new Error(`cannot listen on ${address}: ${reason}`, { cause });
}
