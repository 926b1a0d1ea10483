/** What a driver saw of one measurement. */
export interface LoadResult {
  /** How many calls were answered. */
  calls: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
  /** The bytes of all answers' bodies, where the driver counts them. */
  bodyBytes: number | undefined;
}

/** Load from outside Node, on one call of one system. */
export interface Load {
  /**
   * Keeps `inFlight` calls in flight for about `seconds`.
   *
   * @throws {BenchError} when one fails.
   */
  run(inFlight: number, seconds: number, signal: AbortSignal): Promise<LoadResult>;
}

/** How many calls to make, for drivers that want a number of calls where we want a time. */
export class CallBudget {
  readonly #perSecond = new Map<number, number>();

  /** @param minimum the fewest calls that tell anything */
  constructor(private readonly minimum = 1) {}

  callsFor(inFlight: number, seconds: number): number {
    const perSecond = this.#perSecond.get(inFlight) ?? 0;
    return Math.max(Math.round(perSecond * seconds), 2 * inFlight, this.minimum);
  }

  learn(inFlight: number, { calls, seconds }: LoadResult): void {
    this.#perSecond.set(inFlight, calls / seconds);
  }
}
