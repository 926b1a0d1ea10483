import { z } from 'zod';
import { checkReadiness, notReady } from './process-operations.js';

const readiness = z.union([checkReadiness.success.body, notReady.body]);

/** What a REST door says of whether it can serve. */
export type Readiness = z.output<typeof readiness>;

/** Asks a REST door whether it is ready. Resolves to undefined where it does not answer in time. */
export async function readReadiness(address: string, timeoutMs: number): Promise<Readiness | undefined> {
  try {
    const response = await fetch(`http://${address}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
    return readiness.parse(await response.json());
  } catch {
    return undefined;
  }
}

/** Tells whether a REST door says that it is ready, in time. */
export async function isRestReady(address: string, timeoutMs: number): Promise<boolean> {
  return (await readReadiness(address, timeoutMs))?.success ?? false;
}
