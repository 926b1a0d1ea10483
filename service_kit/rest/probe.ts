/** Asks a REST door whether it is ready. Resolves to false where it is not, or does not answer in time. */
export async function isRestReady(address: string, timeoutMs: number): Promise<boolean> {
  try {
    const response = await fetch(`http://${address}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
    return response.ok;
  } catch {
    return false;
  }
}
