import { ServiceError } from './errors.js';
import { requestsInFlight } from './metrics.js';

/** What a request brings along besides its input. */
export interface RequestContext {
  /** When the caller stops waiting, in milliseconds since the epoch. It is answered by then. */
  readonly deadline: number;
  /**
   * What is told of it in every process's log, whoever else works on it; undefined where nobody asked for it. Not to be confused with
   * the id by which a repeated message is known again.
   */
  readonly requestId?: string | undefined;
  /** The token of the user in whose name it is done: other services that are called for it are shown the same. */
  readonly userToken?: string | undefined;
  /** Tells the address that it comes from, unless that is not to be counted; missing where nothing depends on it. */
  readonly findClientAddress?: (() => Promise<string | undefined>) | undefined;
}

/** @throws {ServiceError} `tooSlow` when the deadline has passed: nobody waits for what would be done now. */
export function checkDeadline({ deadline }: RequestContext): void {
  if (Date.now() >= deadline) throw tooSlow();
}

function tooSlow(): ServiceError {
  return new ServiceError('tooSlow', 'The request could not be answered in time; try again shortly');
}

/** Counts the requests under way in one process, and refuses those beyond the bound. */
export class InFlight {
  #count = 0;

  constructor(private readonly max: number) {
    requestsInFlight.add({}, () => this.#count);
  }

  /**
   * Runs `work` as one of the requests under way, until its deadline at the latest.
   *
   * @throws {ServiceError} `tooMany` at once, when the bound is reached; `tooSlow` at the deadline.
   */
  async run<Result>(context: RequestContext, work: () => Promise<Result>): Promise<Result> {
    if (this.#count >= this.max)
      throw new ServiceError('tooMany', 'Too many requests at once; try again shortly');
    this.#count++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(tooSlow()), context.deadline - Date.now());
      const settle = async () => {
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
        } finally {
          // What goes on after its deadline still counts.
          this.#count--;
          clearTimeout(timer);
        }
      };
      void settle();
    });
  }
}
