import { join } from 'node:path';
import { ROOT_FOLDER } from '#scripts/suite';
import { z } from 'zod';
import { BenchError } from '../options.js';
import type { Load, LoadResult } from './load.js';
import { runTool } from './tool.js';

const report = z.object({
  requests: z.number(),
  durationUs: z.number(),
  p50Us: z.number(),
  p99Us: z.number(),
  errors: z.number(),
});

/** GETs one URL. What is in flight has a connection each: HTTP/1.1 has one request at a time on it. */
export class Wrk implements Load {
  /** @param cookie what the caller is known by, where that is asked for */
  constructor(
    private readonly url: string,
    private readonly cookie?: string,
  ) {}

  async run(inFlight: number, seconds: number, signal: AbortSignal): Promise<LoadResult> {
    const output = await runTool(
      'wrk',
      [
        '--threads=1',
        `--connections=${inFlight}`,
        `--duration=${Math.ceil(seconds)}s`,
        '--timeout=60s',
        `--script=${join(ROOT_FOLDER, 'bench/drivers/wrk-report.lua')}`,
        ...(this.cookie === undefined ? [] : [`--header=cookie: ${this.cookie}`]),
        this.url,
      ],
      signal,
    );
    const line = output.trimEnd().split('\n').at(-1) ?? '';
    const { requests, durationUs, p50Us, p99Us, errors } = report.parse(JSON.parse(line));
    if (errors > 0) throw new BenchError(`${this.url}: ${errors} of ${requests} requests failed. ${output}`);
    return {
      calls: requests,
      seconds: durationUs / 1e6,
      p50Ms: p50Us / 1_000,
      p99Ms: p99Us / 1_000,
      bodyBytes: undefined,
    };
  }
}
