import { z } from 'zod';
import type { ServiceName } from '../access/callers.js';
import { ask } from './ask.js';
import { checkReadiness, notReady } from './process-operations.js';

const readiness = z.union([checkReadiness.success.body, notReady.body]);

/** What a REST door says of whether it can serve. */
export type Readiness = z.output<typeof readiness>;

/** Asks the REST door of a service whether it is ready. Resolves to undefined where it does not answer in time. */
export async function readReadiness(
  service: ServiceName,
  address: string,
  timeoutMs: number,
): Promise<Readiness | undefined> {
  try {
    const { text } = await ask(service, address, '/readyz', { signal: AbortSignal.timeout(timeoutMs) });
    return readiness.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Tells whether the REST door of a service says that it is ready, in time. */
export async function isRestReady(
  service: ServiceName,
  address: string,
  timeoutMs: number,
): Promise<boolean> {
  return (await readReadiness(service, address, timeoutMs))?.success ?? false;
}
