import { ServiceError } from './errors.js';

/** What a request brings along besides its input. */
export interface RequestContext {
  /** When the caller stops waiting, in milliseconds since the epoch. Nothing done for it may take longer. */
  readonly deadline: number;
}

/** Counts the requests under way in one process, and refuses those beyond the bound. */
export class InFlight {
  #count = 0;

  constructor(private readonly max: number) {}

  /**
   * Runs `work` as one of the requests under way.
   *
   * @throws {ServiceError} `tooMany` at once, when the bound is reached.
   */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#count >= this.max)
      throw new ServiceError('tooMany', 'Too many requests at once; try again shortly');
    this.#count++;
    try {
      return await work();
    } finally {
      this.#count--;
    }
  }
}
