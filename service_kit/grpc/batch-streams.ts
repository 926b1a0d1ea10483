import { type ClientDuplexStream, type ServiceError as GrpcError, status } from '@grpc/grpc-js';

/** What a request on a stream of batches bears besides the batch. */
export interface BatchRequestHeader {
  number?: number;
  timeout_ms?: number;
}

/** What an answer bears besides the results: `code` and `details` where the batch was refused as a whole. */
export interface BatchReplyHeader {
  number?: number;
  code?: number;
  details?: string;
}

/** Why a batch has no answer: as grpc-js tells it of a call. */
export type CallFailure = Pick<GrpcError, 'code' | 'details'>;

/** As many streams as are kept open: they, and with them the load, are spread over the peer's replicas. */
const STREAMS = 4;

/** A stream that is older is replaced: only a new one can go to a replica that has come since. */
const MAX_AGE_MS = 10_000;

type BatchCall<Request, Reply> = ClientDuplexStream<Request & BatchRequestHeader, Reply & BatchReplyHeader>;

/**
 * Sends batches to a peer over a few streams that stay open: a message on an open stream costs a third of a unary
 * call. Opens them when they are needed, and anew after every loss.
 */
export class BatchStreams<Request, Reply> {
  readonly #streams: (BatchStream<Request, Reply> | undefined)[] = [];
  #turn = 0;

  /**
   * @param open opens a stream
   * @param describe makes the error that is thrown for a batch that failed
   */
  constructor(
    private readonly open: () => BatchCall<Request, Reply>,
    private readonly describe: (failure: CallFailure) => Error,
  ) {}

  /**
   * Asks the peer about one batch.
   *
   * @param deadline when to stop waiting, in milliseconds since the epoch
   * @returns undefined when the peer has not worked on it: it stopped before, or has no such stream.
   * @throws what `describe` makes of the failure of the batch, or of its stream.
   */
  async ask(request: Request, deadline: number): Promise<Reply | undefined> {
    this.#turn = (this.#turn + 1) % STREAMS;
    let stream = this.#streams[this.#turn];
    if (!stream?.isOpen || stream.ageMs > MAX_AGE_MS) {
      stream?.close();
      stream = new BatchStream(this.open(), this.describe);
      this.#streams[this.#turn] = stream;
    }
    return stream.ask(request, deadline);
  }

  /** Lets the peer answer what it was asked, and ends. */
  close(): void {
    for (const stream of this.#streams) stream?.close();
  }
}

interface Asked<Reply> {
  resolve: (reply: Reply | undefined) => void;
  reject: (reason: Error) => void;
  timer: NodeJS.Timeout;
}

class BatchStream<Request, Reply> {
  readonly #call: BatchCall<Request, Reply>;
  readonly #asked = new Map<number, Asked<Reply>>();
  readonly #openedAt = Date.now();
  #lastNumber = 0;
  #isOpen = true;

  constructor(
    call: BatchCall<Request, Reply>,
    private readonly describe: (failure: CallFailure) => Error,
  ) {
    this.#call = call;
    call.on('data', (reply: Reply & BatchReplyHeader) => this.#settle(reply));
    call.on('error', (error: GrpcError) => this.#conclude(error));
    call.on('end', () => this.#conclude());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get ageMs(): number {
    return Date.now() - this.#openedAt;
  }

  async ask(request: Request, deadline: number): Promise<Reply | undefined> {
    const number = ++this.#lastNumber;
    const timeout_ms = Math.max(deadline - Date.now(), 0);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(number), timeout_ms);
      this.#asked.set(number, { resolve, reject, timer });
      this.#call.write({ ...request, number, timeout_ms });
    });
  }

  close(): void {
    if (this.#isOpen) this.#call.end();
    this.#isOpen = false;
  }

  #settle(reply: Reply & BatchReplyHeader): void {
    const asked = this.#take(reply.number ?? 0);
    if (reply.code === undefined) asked?.resolve(reply);
    else asked?.reject(this.describe({ code: reply.code, details: reply.details ?? '' }));
  }

  /** The replica behind this stream may hang, where others don't. */
  #giveUp(number: number): void {
    this.#take(number)?.reject(
      this.describe({ code: status.DEADLINE_EXCEEDED, details: 'no answer in time' }),
    );
    this.close();
  }

  /** No more answers come: the stream has ended, or broken. */
  #conclude(failure?: CallFailure): void {
    this.close();
    const isUnknown = failure?.code === status.UNIMPLEMENTED;
    for (const number of this.#asked.keys()) {
      const asked = this.#take(number);
      if (failure === undefined || isUnknown) asked?.resolve(undefined);
      else asked?.reject(this.describe(failure));
    }
  }

  #take(number: number): Asked<Reply> | undefined {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    clearTimeout(asked?.timer);
    return asked;
  }
}
