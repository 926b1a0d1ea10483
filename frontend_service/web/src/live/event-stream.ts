import { backoffMs } from '../lib/backoff.js';

const CHECK_TIMEOUT_MS = 10_000;
/** Of the server's heartbeats, which come every 15 s, two may be late. */
const SILENCE_MS = 40_000;

/** `interrupted`: the server has lost its own source; `ended`: there is no session any more. */
export type StreamState = 'connecting' | 'live' | 'interrupted' | 'ended';

export interface StreamListener {
  onState(state: StreamState): void;
  /** @param data a notification as JSON, not yet looked at */
  onNotification(data: string): void;
  /** Something may have been missed for good: the lists must be loaded again. */
  onReset(): void;
}

/** The server's events, read for as long as there is a session, from where they were left. */
export class EventStream {
  state: StreamState = 'ended';
  #source: EventSource | undefined;
  #lastEventId = '';
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly listener: StreamListener) {}

  start(): void {
    if (this.state !== 'ended') return;
    addEventListener('online', this.#reopen);
    this.#open();
  }

  /** Ends it, of which the listener is not told. */
  stop(): void {
    removeEventListener('online', this.#reopen);
    this.#close();
    this.state = 'ended';
  }

  // A connection that was there before the network went may look open, and be dead.
  #reopen = (): void => {
    this.#close();
    this.#open();
  };

  #open(): void {
    this.#enter('connecting');
    this.#heard();
    // When it reconnects by itself, EventSource tells the newer position in a header, which the server prefers.
    const query = this.#lastEventId && `?last_event_id=${encodeURIComponent(this.#lastEventId)}`;
    const source = new EventSource(`/api/events${query}`);
    this.#source = source;
    source.addEventListener('live', (event) => {
      this.#keepPosition(event);
      this.#failures = 0;
      this.#enter('live');
    });
    source.addEventListener('notification', (event) => {
      this.#keepPosition(event);
      this.listener.onNotification(String(event.data));
    });
    source.addEventListener('interrupted', () => this.#enter('interrupted'));
    for (const type of ['open', 'live', 'notification', 'interrupted', 'reset', 'heartbeat']) {
      source.addEventListener(type, () => this.#heard());
    }
    source.addEventListener('reset', (event) => {
      this.#lastEventId = event.lastEventId;
      this.listener.onReset();
    });
    source.addEventListener('error', () => {
      this.#enter('connecting');
      if (source.readyState === EventSource.CLOSED) void this.#openLater(source);
    });
  }

  /** A connection can be dead and look open, as after a night's sleep: nothing but silence tells. */
  #heard(): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(this.#reopen, SILENCE_MS);
  }

  #close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#silenceTimer);
    this.#source?.close();
    this.#source = undefined;
  }

  /** EventSource gives up for good when the answer is an error, and does not tell which. */
  async #openLater(source: EventSource): Promise<void> {
    const status = await fetch('/api/session', { signal: AbortSignal.timeout(CHECK_TIMEOUT_MS) }).then(
      (response) => response.status,
      () => 0,
    );
    if (this.#source !== source) return;
    if (status === 401) {
      this.stop();
      this.listener.onState('ended');
      return;
    }
    this.#failures++;
    this.#timer = setTimeout(this.#reopen, backoffMs(this.#failures));
  }

  #keepPosition(event: MessageEvent): void {
    if (event.lastEventId) this.#lastEventId = event.lastEventId;
  }

  #enter(state: StreamState): void {
    if (state === this.state) return;
    this.state = state;
    this.listener.onState(state);
  }
}
