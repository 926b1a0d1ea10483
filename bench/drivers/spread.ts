import type { Load, LoadResult } from './load.js';

/** One load on several replicas at a time, each with its share of what is in flight. */
export class Spread implements Load {
  constructor(private readonly loads: readonly Load[]) {}

  async run(inFlight: number, seconds: number, signal: AbortSignal): Promise<LoadResult> {
    const share = Math.max(Math.round(inFlight / this.loads.length), 1);
    const results = await Promise.all(this.loads.map(async (load) => load.run(share, seconds, signal)));
    const calls = results.reduce((sum, result) => sum + result.calls, 0);
    const mean = (value: (result: LoadResult) => number) =>
      results.reduce((sum, result) => sum + value(result) * (result.calls / calls), 0);
    return {
      calls,
      seconds: Math.max(...results.map((result) => result.seconds)),
      p50Ms: mean(({ p50Ms }) => p50Ms),
      p99Ms: mean(({ p99Ms }) => p99Ms),
      bodyBytes: undefined,
    };
  }
}
