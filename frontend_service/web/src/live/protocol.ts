import type { StreamState } from './event-stream.js';

/** What the worker tells a tab. */
export type WorkerMessage =
  { type: 'state'; state: StreamState } | { type: 'notification'; data: string } | { type: 'reset' };

/** What a tab tells the worker: that it is there, that it goes, that the user signs out. */
export type TabMessage = 'hello' | 'bye' | 'sign-out';
