/** Runs tasks one after the other, in the order in which they came. */
export class TaskQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(task);
    // That one fails is no reason for the next not to run.
    this.#last = result.catch(() => undefined);
    return result;
  }
}
