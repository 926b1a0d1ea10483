import { type ClientDuplexStream, type ServiceError as GrpcError, status } from '@grpc/grpc-js';
import { z } from 'zod';

/** What a stream of batches carries to the peer. */
export interface StreamRequest<Request> {
  /** Comes back with the answer. */
  number?: number;
  /** How long this side waits for it. */
  timeout_ms?: number;
  request?: Request | null;
}

/** What a batch tells of where its items come from, in their order: each list is empty where there is nothing to tell. */
export interface Origins {
  request_ids: string[];
  traceparents: string[];
}

/** What it carries back: a response, or a `code` and `details` where the batch was refused as a whole. */
export interface StreamResponse<Response> {
  number?: number;
  response?: Response | null;
  code?: number;
  details?: string;
}

/** Why a batch has no answer: as grpc-js tells it of a call. */
export type CallFailure = z.output<typeof callFailure>;

/** The same in an answer, about a batch or one of its items. */
export const callFailure = z.object({
  code: z.enum(status).catch(status.UNKNOWN),
  details: z.string().default(''),
});

/** As many streams as are kept open: they, and with them the load, are spread over the peer's replicas. */
const STREAMS = 4;

/** A stream that is older is replaced: only a new one can go to a replica that has come since. */
const MAX_AGE_MS = 2_000;

type BatchCall<Request, Response> = ClientDuplexStream<StreamRequest<Request>, StreamResponse<Response>>;

/**
 * Sends batches to a peer over a few streams that stay open: a message on an open stream costs a third of a unary
 * call. Opens them when they are needed, and anew after every loss.
 */
export class BatchStreams<Request, Response> {
  readonly #streams: (BatchStream<Request, Response> | undefined)[] = [];
  #turn = 0;

  /**
   * @param open opens a stream
   * @param describe makes the error that is thrown for a batch that failed
   */
  constructor(
    private readonly open: () => BatchCall<Request, Response>,
    private readonly describe: (failure: CallFailure) => Error,
  ) {}

  /**
   * Asks the peer about one batch.
   *
   * @param deadline when to stop waiting, in milliseconds since the epoch
   * @returns undefined when the peer has not worked on it: it stopped before, or has no such stream.
   * @throws what `describe` makes of the failure of the batch, or of its stream.
   */
  async ask(request: Request, deadline: number): Promise<Response | undefined> {
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

interface Asked<Response> {
  resolve: (response: Response | undefined) => void;
  reject: (reason: Error) => void;
  timer: NodeJS.Timeout;
}

class BatchStream<Request, Response> {
  readonly #call: BatchCall<Request, Response>;
  readonly #asked = new Map<number, Asked<Response>>();
  readonly #openedAt = Date.now();
  #lastNumber = 0;
  #isOpen = true;

  constructor(
    call: BatchCall<Request, Response>,
    private readonly describe: (failure: CallFailure) => Error,
  ) {
    this.#call = call;
    call.on('data', (reply: StreamResponse<Response>) => this.#settle(reply));
    call.on('error', (error: GrpcError) => this.#conclude(error));
    call.on('end', () => this.#conclude());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get ageMs(): number {
    return Date.now() - this.#openedAt;
  }

  async ask(request: Request, deadline: number): Promise<Response | undefined> {
    const number = ++this.#lastNumber;
    const timeout_ms = Math.max(deadline - Date.now(), 0);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(number), timeout_ms);
      this.#asked.set(number, { resolve, reject, timer });
      this.#call.write({ number, timeout_ms, request });
    });
  }

  close(): void {
    if (this.#isOpen) this.#call.end();
    this.#isOpen = false;
  }

  #settle(reply: StreamResponse<Response>): void {
    const asked = this.#take(reply.number ?? 0);
    if (reply.response) asked?.resolve(reply.response);
    else asked?.reject(this.describe(callFailure.parse(reply)));
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

  #take(number: number): Asked<Response> | undefined {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    clearTimeout(asked?.timer);
    return asked;
  }
}
