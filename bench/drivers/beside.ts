import type { Load, LoadResult } from './load.js';

/** As long as a run of the other load takes, about: one follows the other. */
const OTHER_SECONDS = 1;

/** Measures one load while another goes on without pause. */
export class Beside implements Load {
  constructor(
    private readonly load: Load,
    private readonly other: Load,
    private readonly otherInFlight: number,
  ) {}

  async run(inFlight: number, seconds: number, signal: AbortSignal): Promise<LoadResult> {
    const over = new AbortController();
    const other = this.#repeatOther(AbortSignal.any([signal, over.signal]));
    try {
      return await Promise.race([this.load.run(inFlight, seconds, signal), other]);
    } finally {
      over.abort();
      await other.catch(() => {});
    }
  }

  /** Only ends with an error: its own, or that of `signal`. */
  async #repeatOther(signal: AbortSignal): Promise<never> {
    for (;;) await this.other.run(this.otherInFlight, OTHER_SECONDS, signal);
  }
}
