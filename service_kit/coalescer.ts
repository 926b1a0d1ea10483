import { ServiceError } from './errors.js';
import { batchItems, queuedItems } from './metrics.js';
import { type Span, tracing } from './tracing.js';

/** The most items of one batch: every batch RPC of the suite takes as many. */
export const MAX_BATCH_ITEMS = 256;

/** How many items may wait: two for each request that a process works on by default. */
const MAX_QUEUED = 20_000;
const MAX_BATCHES_IN_FLIGHT = 16;

/** As many items are worth a batch of their own: more at once would leave those who work on them idle in turns. */
const ITEMS_WORTH_A_BATCH = 32;

export interface CoalescerOptions<Item, Result> {
  /** Who is asked, for people. */
  name: string;
  /** How many batches may be under way at once; 16 unless told. */
  maxBatchesInFlight?: number;
  /** {@link MAX_BATCH_ITEMS} unless told. */
  maxItems?: number;
  /** So many items do not wait for the batch that is under way; 32 unless told, `maxItems` at the most. */
  itemsWorthABatch?: number;
  /** How long fewer of them wait after the last batch was sent, in milliseconds; not at all unless told. */
  minIntervalMs?: number;
  /** As soon as so many wait, they go out in the midst of a turn, to be worked on beside the rest of it; unless told, all wait for its end. */
  itemsSentAtOnce?: number;
  /** How many items may wait for their batch; 20,000 unless told. */
  maxQueued?: number;
  /**
   * Asks about a whole batch, and resolves to one outcome an item, in the order of the items.
   *
   * @param deadline when the last of them stops waiting, in milliseconds since the epoch
   */
  send: (items: Item[], deadline: number) => Promise<PromiseSettledResult<Result>[]>;
}

/** A batch that takes longer no longer holds up the next: its receiver may hang while others don't. */
const SLOW_AFTER_MS = 100;

interface Waiting<Item, Result> {
  item: Item;
  deadline: number;
  resolve: (result: Result) => void;
  reject: (reason: unknown) => void;
  /** Runs what is done for the batch as a part of this item's trace; undefined while nothing is traced. */
  inItsTrace: Span['run'] | undefined;
}

/**
 * Makes one batch of what is asked at the same time. A lone item goes out at once, as soon as what has arrived by then
 * is read: no timer holds it back. What is asked while a batch is under way goes out together as soon as it is answered,
 * or slow, or as soon as there is enough for a batch of its own. Where nobody waits for the answers, batches may be told to keep a
 * distance: then those who ask one after the other share one, too. Where it pays, as many as fill one go out in the midst of the turn. Nothing is kept: no answer outlives its batch.
 */
export class Coalescer<Item, Result> {
  readonly #options: Required<CoalescerOptions<Item, Result>>;
  #waiting: Waiting<Item, Result>[] = [];
  #batchesInFlight = 0;
  /** Those of them for whose answer the next batch waits. */
  #batchesAwaited = 0;
  #isScheduled = false;

  constructor(options: CoalescerOptions<Item, Result>) {
    const { maxItems = MAX_BATCH_ITEMS, itemsWorthABatch = ITEMS_WORTH_A_BATCH } = options;
    this.#options = {
      maxQueued: MAX_QUEUED,
      maxBatchesInFlight: MAX_BATCHES_IN_FLIGHT,
      itemsSentAtOnce: Infinity,
      minIntervalMs: 0,
      ...options,
      maxItems,
      itemsWorthABatch: Math.min(itemsWorthABatch, maxItems),
    };
    queuedItems.add({ target: options.name }, () => this.#waiting.length);
  }

  /**
   * Asks about one item.
   *
   * @param deadline when its caller stops waiting, in milliseconds since the epoch: it is not sent after that
   * @throws {ServiceError} `tooMany` at once, when too many wait; `tooSlow` when its turn comes after its deadline;
   *   else what `send` rejects its item, or the whole batch, with.
   */
  async run(item: Item, deadline = Infinity): Promise<Result> {
    const { name, maxQueued, itemsSentAtOnce } = this.#options;
    if (this.#waiting.length >= maxQueued) {
      throw new ServiceError('tooMany', `${name} has too much to do; try again shortly`);
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, deadline, resolve, reject, inItsTrace: tracing?.capture() });
      if (this.#waiting.length >= itemsSentAtOnce) this.#dispatch();
      else this.#dispatchSoon();
    });
  }

  /** After everything that has arrived by now, from whatever connection. */
  #dispatchSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const { maxItems, itemsWorthABatch, maxBatchesInFlight } = this.#options;
    while (
      this.#waiting.length > 0 &&
      this.#batchesInFlight < maxBatchesInFlight &&
      (this.#batchesAwaited === 0 || this.#waiting.length >= itemsWorthABatch)
    ) {
      void this.#send(this.#waiting.splice(0, maxItems));
    }
  }

  async #send(all: Waiting<Item, Result>[]): Promise<void> {
    const batch = this.#dropLate(all);
    if (batch.length === 0) return;
    batchItems.observe({ target: this.#options.name }, batch.length);
    this.#batchesInFlight++;
    this.#batchesAwaited++;
    let isAwaited = true;
    const goOn = () => {
      if (isAwaited) this.#batchesAwaited--;
      isAwaited = false;
      this.#dispatch();
    };
    const { minIntervalMs } = this.#options;
    const nextAt = minIntervalMs > 0 ? performance.now() + minIntervalMs : 0;
    const slow = setTimeout(goOn, SLOW_AFTER_MS);
    try {
      const deadline = batch.reduce((latest, waiting) => Math.max(latest, waiting.deadline), 0);
      const items = batch.map(({ item }) => item);
      const send = () => this.#options.send(items, deadline);
      // Else it would show in the trace of whoever asked last before it could be sent.
      const outcomes = await (batch[0]?.inItsTrace?.(send) ?? send());
      if (outcomes.length !== batch.length) {
        throw new Error(`${this.#options.name} answered ${outcomes.length} of ${batch.length} items`);
      }
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status === 'fulfilled') batch[index]?.resolve(outcome.value);
        else batch[index]?.reject(outcome.reason);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      clearTimeout(slow);
      this.#batchesInFlight--;
      const earlyMs = nextAt === 0 ? 0 : nextAt - performance.now();
      if (earlyMs > 0) setTimeout(goOn, earlyMs);
      else goOn();
    }
  }

  #dropLate(all: Waiting<Item, Result>[]): Waiting<Item, Result>[] {
    const now = Date.now();
    const late = all.filter(({ deadline }) => deadline <= now);
    if (late.length === 0) return all;
    for (const { reject } of late) {
      reject(new ServiceError('tooSlow', `${this.#options.name} did not answer in time; try again shortly`));
    }
    return all.filter(({ deadline }) => deadline > now);
  }
}
