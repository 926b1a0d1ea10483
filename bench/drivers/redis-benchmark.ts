import { z } from 'zod';
import { CallBudget, type Load, type LoadResult } from './load.js';
import { runTool } from './tool.js';

const figures = z.looseObject({
  rps: z.coerce.number(),
  p50_latency_ms: z.coerce.number(),
  p99_latency_ms: z.coerce.number(),
});

/** It measures the time of a whole run in milliseconds. */
const MIN_CALLS = 10_000;

/** PINGs a Redis, over one connection for each that is in flight. */
export class RedisPing implements Load {
  readonly #budget = new CallBudget(MIN_CALLS);

  constructor(private readonly port: number) {}

  async run(inFlight: number, seconds: number, signal: AbortSignal): Promise<LoadResult> {
    const calls = this.#budget.callsFor(inFlight, seconds);
    const output = await runTool(
      'redis-benchmark',
      `-h 127.0.0.1 -p ${this.port} -c ${inFlight} -n ${calls} -t ping_mbulk --csv`.split(' '),
      signal,
    );
    const [names = [], values = []] = output
      .trim()
      .split('\n')
      .slice(-2)
      .map((line) => line.split(',').map((cell) => cell.replaceAll('"', '')));
    const { rps, p50_latency_ms, p99_latency_ms } = figures.parse(
      Object.fromEntries(names.map((name, position) => [name, values[position]])),
    );
    const result = {
      calls,
      seconds: calls / rps,
      p50Ms: p50_latency_ms,
      p99Ms: p99_latency_ms,
      bodyBytes: undefined,
    };
    this.#budget.learn(inFlight, result);
    return result;
  }
}
