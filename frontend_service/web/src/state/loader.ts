import { signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { backoffMs } from '../lib/backoff.js';
import { TaskQueue } from '../lib/task-queue.js';

/** So much at least lies between two loads: many events in a row are answered with few requests. */
const MIN_GAP_MS = 250;

export type LoadStatus = 'loading' | 'ready' | 'failed';

/**
 * Keeps one thing of the server's up to date here. All requests about that thing go through one queue, so an older
 * answer never overwrites a newer one.
 */
export class Loader {
  /** `failed` only as long as nothing was ever loaded: afterwards what there is stays, and is loaded again. */
  readonly status = signal<LoadStatus>('loading');
  readonly #queue = new TaskQueue();
  #next: Promise<void> | undefined;
  #lastStart = 0;
  #failures = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /** @param load asks the server, and stores the answer */
  constructor(private readonly load: () => Promise<void>) {}

  /** Loads again. Calls before it begins share one load, calls while it runs the next. Never rejects. */
  refresh = (): Promise<void> => {
    this.#isStopped = false;
    this.#next ??= this.#pause().then(() =>
      this.#queue.run(async () => {
        this.#next = undefined;
        this.#lastStart = Date.now();
        await this.#load();
      }),
    );
    return this.#next;
  };

  /** Loads again because somebody asks for it, who is shown that it happens. */
  retry = (): void => {
    if (this.status.value === 'failed') this.status.value = 'loading';
    void this.refresh();
  };

  /** Runs what must not overlap with loading. */
  exclusively<Result>(task: () => Promise<Result>): Promise<Result> {
    return this.#queue.run(task);
  }

  /** Gives up trying again, until the next `refresh`. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retryTimer);
  }

  async #pause(): Promise<void> {
    const waitMs = this.#lastStart + MIN_GAP_MS - Date.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }

  async #load(): Promise<void> {
    clearTimeout(this.#retryTimer);
    try {
      await this.load();
      this.#failures = 0;
      this.status.value = 'ready';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#failures++;
      if (this.status.value !== 'ready') this.status.value = 'failed';
      if (error.isTransient && !this.#isStopped) {
        this.#retryTimer = setTimeout(() => void this.refresh(), backoffMs(this.#failures));
      }
    }
  }
}
