import { once, type EventEmitter } from 'node:events';
import { ServiceError } from './errors.js';
import { openStreams } from './metrics.js';

let open = 0;
openStreams.add({}, () => open);

/** How long a caller may take nothing of what it is sent, unless told. */
export const SLOW_CALLER_MS = 30_000;

/** The stream of answers to one caller, from its beginning to whatever ends it. */
export class AnswerStream {
  readonly #over = new AbortController();

  /**
   * @param caller what is written to: emits `drain` once it has room again, and `close` once the caller has gone
   * @param drain aborted when the process stops
   */
  constructor(
    private readonly caller: EventEmitter,
    drain: AbortSignal,
    private readonly slowCallerMs = SLOW_CALLER_MS,
  ) {
    const { signal } = this.#over;
    open++;
    signal.addEventListener('abort', () => open--, { once: true });
    const drained = () =>
      this.end(new ServiceError('unavailable', 'The server is shutting down; connect again'));
    caller.once('close', () => this.end());
    drain.addEventListener('abort', drained, { signal });
    if (drain.aborted) drained();
  }

  /** Aborted once it is over. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Why it was ended from this side; undefined where it was not. */
  get reason(): ServiceError | undefined {
    const reason: unknown = this.signal.reason;
    return reason instanceof ServiceError ? reason : undefined;
  }

  /**
   * Sends what comes, each piece only once the caller has room for it.
   *
   * @param write writes a piece; gives false where the caller has no more room
   * @throws when it is over before the pieces are.
   */
  async send<Piece>(pieces: AsyncIterable<Piece>, write: (piece: Piece) => boolean): Promise<void> {
    for await (const piece of pieces) {
      if (!write(piece)) await this.#roomIsLeft();
    }
    this.signal.throwIfAborted();
  }

  /** Ends it. @param reason what its caller is told, where there is something to tell */
  end(reason?: ServiceError): void {
    this.#over.abort(reason);
  }

  /** Waits until the caller has taken what it was sent; one that takes nothing for long is told to come again. */
  async #roomIsLeft(): Promise<void> {
    const timer = setTimeout(
      () =>
        this.end(
          new ServiceError('tooMany', 'This caller is too slow; connect again, after the last that it got'),
        ),
      this.slowCallerMs,
    );
    await once(this.caller, 'drain', { signal: this.signal }).finally(() => clearTimeout(timer));
  }
}
