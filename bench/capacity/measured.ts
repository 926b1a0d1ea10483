import type { Measurements } from '../measure.js';
import type { CpuMs } from '../usage.js';
import type { Prediction } from './replicas.js';
import type { StorageFigures } from './storage.js';
import type { Watching } from './watching.js';

/** When a Redis waits for its disk. */
export const SYNCS = ['always', 'everysec'] as const;
export type Sync = (typeof SYNCS)[number];

/** All that was measured. */
export interface Capacity {
  /** A message until it is shown, on one Redis for all services. */
  chain: Measurements[];
  /** CPU time that processes use in a second without a call, in milliseconds. */
  idleCpuMsPerSecond: CpuMs;
  /** The most that each process held, in bytes. */
  peakBytes: Record<string, number>;
  operations: Measurements[];
  /** A message, with a Redis for each service. */
  ownRedises: Record<Sync, Measurements[]>;
  storage: StorageFigures;
  watching: Watching[];
  predictions: Prediction[];
}
