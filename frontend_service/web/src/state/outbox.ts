import { batch, computed, signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { sendMessage } from '../api/routes.js';
import { backoffMs } from '../lib/backoff.js';
import { newKey } from '../lib/ids.js';

/** A message of the user's that the server has not acknowledged. */
export interface OutgoingMessage {
  /** What it is known by here, and the request's Idempotency-Key, however often it is sent. */
  key: string;
  content: string;
  timestamp: string;
  /** The newest message of the conversation when it was written: its own id will be greater. */
  afterId: string;
  /** `waiting`: sending it failed, and is tried again by itself; `failed`: it is not. */
  state: 'pending' | 'waiting' | 'failed';
  /** Why it failed for good. */
  error?: ApiError;
}

/** What the user wrote in one conversation and is still to be acknowledged: sent one by one, in order. */
export class Outbox {
  readonly messages = signal<readonly OutgoingMessage[]>([]);
  /** Those that will still be tried without anybody's doing. */
  readonly underWay = computed(() => this.messages.value.filter(({ state }) => state !== 'failed'));
  #isSending = false;
  #isStopped = false;
  #failures = 0;
  #wake: () => void = () => undefined;

  /**
   * @param email to whom
   * @param onSent called once a message is acknowledged, together with its leaving the outbox
   */
  constructor(
    private readonly email: string,
    private readonly onSent: (message: OutgoingMessage, id: string) => void,
  ) {}

  add(content: string, afterId: string): void {
    const timestamp = new Date().toISOString();
    const message: OutgoingMessage = { key: newKey(), content, timestamp, afterId, state: 'pending' };
    this.messages.value = [...this.messages.value, message];
    void this.#send();
  }

  /** Tries one again that failed, or now instead of later. */
  retry = (key: string): void => {
    this.#update(key, { state: 'pending' });
    this.resume();
  };

  /** Takes one out that will not be sent. */
  discard = (key: string): void => {
    this.messages.value = this.messages.value.filter((message) => message.key !== key);
  };

  /** Goes on at once. */
  resume(): void {
    this.#isStopped = false;
    this.#wake();
    void this.#send();
  }

  /** Sends nothing more, until `resume`. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      for (;;) {
        const [message] = this.underWay.value;
        if (!message || this.#isStopped) break;
        await this.#attempt(message);
      }
    } finally {
      this.#isSending = false;
    }
  }

  async #attempt(message: OutgoingMessage): Promise<void> {
    try {
      const { message_id } = await sendMessage(this.email, message.content, message.key);
      this.#failures = 0;
      batch(() => {
        this.discard(message.key);
        this.onSent(message, message_id);
      });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Without a session everything waits for the user to come back.
      if (error.status === 401) this.#isStopped = true;
      else if (!error.isTransient) this.#update(message.key, { state: 'failed', error });
      else {
        this.#failures++;
        this.#update(message.key, { state: 'waiting' });
        await this.#sleep(Math.max(backoffMs(this.#failures), error.retryAfterSeconds * 1_000));
      }
    }
  }

  async #sleep(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, milliseconds);
    });
  }

  #update(key: string, change: Partial<OutgoingMessage>): void {
    this.messages.value = this.messages.value.map((message) =>
      message.key === key ? { ...message, ...change } : message,
    );
  }
}
