import { BenchError } from '../options.js';
import { type Load, type LoadResult } from './load.js';

/** A JSON body for a REST door, and the status that says that it did what it is for. */
export interface Post {
  url: string;
  body: Record<string, string>;
  status: number;
}

/** POSTs from this process, each another: for what costs a service so much more that this does not matter. */
export class Requests implements Load {
  #made = 0;

  constructor(private readonly make: (position: number) => Post) {}

  async run(inFlight: number, seconds: number, signal: AbortSignal): Promise<LoadResult> {
    const durations: number[] = [];
    const startedAt = performance.now();
    const caller = async () => {
      do {
        const at = performance.now();
        await this.#post(signal);
        durations.push(performance.now() - at);
      } while (performance.now() - startedAt < seconds * 1_000);
    };
    await Promise.all(Array.from({ length: inFlight }, caller));
    const elapsedMs = performance.now() - startedAt;
    const sorted = durations.toSorted((one, other) => one - other);
    const quantile = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
    return {
      calls: sorted.length,
      seconds: elapsedMs / 1_000,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
      bodyBytes: undefined,
    };
  }

  async #post(signal: AbortSignal): Promise<void> {
    const { url, body, status } = this.make(this.#made++);
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    const answer = await response.text();
    if (response.status !== status) throw new BenchError(`${url} answered ${response.status}: ${answer}`);
  }
}
