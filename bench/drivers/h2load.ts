import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { BenchError } from '../options.js';
import { CallBudget, type Load, type LoadResult } from './load.js';
import { runTool } from './tool.js';

/** As the suite's own services talk over one connection, so does h2load, up to this many streams. */
const MAX_STREAMS_A_CONNECTION = 64;
const INACTIVITY_TIMEOUT = '60s';

/** Calls one gRPC method, always with the same message. */
export class H2load implements Load {
  readonly #budget = new CallBudget();
  readonly #bodyFile: string;
  readonly #logFile: string;

  /** @param folder for temporary files */
  constructor(
    private readonly address: string,
    private readonly path: string,
    private readonly message: Buffer,
    folder: string,
  ) {
    const name = randomUUID();
    this.#bodyFile = join(folder, `${name}.body`);
    this.#logFile = join(folder, `${name}.log`);
  }

  async run(inFlight: number, seconds: number, signal: AbortSignal): Promise<LoadResult> {
    const connections = Math.ceil(inFlight / MAX_STREAMS_A_CONNECTION);
    const calls = this.#budget.callsFor(inFlight, seconds);
    await writeFile(this.#bodyFile, frame(this.message));
    await rm(this.#logFile, { force: true });
    const output = await runTool(
      'h2load',
      [
        `--clients=${connections}`,
        `--max-concurrent-streams=${Math.ceil(inFlight / connections)}`,
        `--requests=${calls}`,
        `--connection-inactivity-timeout=${INACTIVITY_TIMEOUT}`,
        '--header=content-type: application/grpc',
        '--header=te: trailers',
        `--data=${this.#bodyFile}`,
        `--log-file=${this.#logFile}`,
        `http://${this.address}${this.path}`,
      ],
      signal,
    );
    const result = readResult(output, await readFile(this.#logFile, 'utf8'));
    if (result.calls !== calls) {
      throw new BenchError(`${this.path}: ${result.calls} of ${calls} calls were answered. ${output}`);
    }
    this.#budget.learn(inFlight, result);
    return result;
  }
}

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: not compressed, and the length. */
function frame(message: Buffer): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

const logLine = z.tuple([z.coerce.number(), z.literal('200'), z.coerce.number()]);

/** The log has a line a request: its start in µs, the HTTP status, and how long it took in µs. */
function readResult(output: string, log: string): LoadResult {
  let [firstStart, lastEnd] = [Infinity, 0];
  const durations = log
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [start, , duration] = logLine.parse(line.split('\t'));
      firstStart = Math.min(firstStart, start);
      lastEnd = Math.max(lastEnd, start + duration);
      return duration;
    })
    .toSorted((one, other) => one - other);
  const quantileMs = (quantile: number) =>
    (durations[Math.ceil(quantile * durations.length) - 1] ?? NaN) / 1_000;
  return {
    calls: durations.length,
    seconds: (lastEnd - firstStart) / 1e6,
    p50Ms: quantileMs(0.5),
    p99Ms: quantileMs(0.99),
    bodyBytes: z.coerce.number().parse(/\((\d+)\) data$/m.exec(output)?.[1]),
  };
}
