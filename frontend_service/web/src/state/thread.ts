import { computed, signal } from '@preact/signals';
import { api, type ApiError } from '../api/client.js';
import type { Message } from '../api/types.js';
import { backoffMs, waitForNetwork } from '../backoff.js';
import { serialize } from '../serialize.js';
import { type LoadState, noteFailure } from './loading.js';

/** A message that the server has not acknowledged. */
export interface Unsent {
  /** Also the request's: sent again, it is not stored again. */
  readonly key: string;
  readonly content: string;
  readonly writtenAt: string;
  /** The newest message when it was written: what is not newer can't be it. */
  readonly afterId: number;
  /** Why it was refused; undefined while it is being sent. */
  readonly failure?: ApiError | undefined;
  /** The stored message that this seems to be: it is shown once, even before its acknowledgement arrives. */
  readonly messageId?: string | undefined;
}

/** The conversation with one person. */
export class Thread {
  /** The oldest first. */
  readonly messages = signal<readonly Message[]>([]);
  readonly state = signal<LoadState>('loading');
  /** How far what is older has come; undefined where there is nothing older. */
  readonly older = signal<LoadState | undefined>(undefined);
  readonly #unsent = signal<readonly Unsent[]>([]);
  /** What was written and is not among the messages. */
  readonly unsent = computed(() => this.#unsent.value.filter(({ messageId }) => messageId === undefined));
  /** Called when a message has been acknowledged. */
  onSent = () => {};
  #draft = '';
  #olderToken = '';
  #isSending = false;
  #isPaused = false;

  constructor(readonly email: string) {}

  /** What was typed and not sent. */
  get draft(): string {
    return this.#draft;
  }

  /** Keeps what was typed, for when the conversation is opened again. */
  keepDraft(text: string): void {
    this.#draft = text;
  }

  /** Whether something would be lost with this tab. */
  get hasUnsent(): boolean {
    return this.#unsent.value.length > 0;
  }

  /** Reads what is new. */
  readonly refresh = serialize(async () => {
    if (this.state.value === 'failed') this.state.value = 'loading';
    try {
      const { messages, next_page_token } = await api.listMessages(this.email);
      const known = new Set(this.messages.value.map(({ message_id }) => message_id));
      const isConnected = messages.some(({ message_id }) => known.has(message_id));
      if (!isConnected) {
        // Nothing is known yet, or so much is new that there would be a gap.
        this.messages.value = [];
        this.#setOlder(next_page_token);
      }
      this.#add(messages);
      this.state.value = 'ready';
    } catch (error) {
      noteFailure(error);
      if (this.state.value === 'loading') this.state.value = 'failed';
    }
  });

  /** Reads what is older than what is shown. */
  readonly loadOlder = serialize(async () => {
    const token = this.#olderToken;
    if (token === '') return;
    this.older.value = 'loading';
    try {
      const { messages, next_page_token } = await api.listMessages(this.email, token);
      // Meanwhile the thread may have begun anew.
      if (this.#olderToken !== token) return;
      this.#setOlder(next_page_token);
      this.#add(messages);
    } catch (error) {
      noteFailure(error);
      this.older.value = 'failed';
    }
  });

  /** Sends a message: again and again while the server or the network is away. */
  send(content: string): void {
    const newest =
      this.state.value === 'ready' ? Number(this.messages.value.at(-1)?.message_id ?? 0) : Infinity;
    const unsent = { key: randomKey(), content, writtenAt: new Date().toISOString(), afterId: newest };
    this.#unsent.value = [...this.#unsent.value, unsent];
    void this.#sendAll();
  }

  /** Sends one again that was refused. */
  sendAgain(key: string): void {
    this.#change(key, { failure: undefined });
    void this.#sendAll();
  }

  /** Gives one up that was refused. */
  discard(key: string): void {
    this.#unsent.value = this.#unsent.value.filter((unsent) => unsent.key !== key);
  }

  /** Sends nothing more: whoever signs in next may be somebody else. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on where the session ended. */
  resume(): void {
    this.#isPaused = false;
    for (const { key, failure } of this.#unsent.value) if (failure?.status === 401) this.sendAgain(key);
    void this.#sendAll();
  }

  /** One after the other, so that they arrive in the order in which they were written. */
  async #sendAll(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      for (;;) {
        const next = this.#unsent.value.find(({ failure }) => failure === undefined);
        if (!next || this.#isPaused) return;
        await this.#send(next);
      }
    } finally {
      this.#isSending = false;
    }
  }

  async #send({ key, content, writtenAt }: Unsent): Promise<void> {
    for (let failures = 1; !this.#isPaused; failures++) {
      try {
        const messageId = await api.sendMessage(this.email, content, key);
        this.discard(key);
        this.#add([
          {
            message_id: messageId,
            sender_email: '',
            receiver_email: this.email,
            content,
            timestamp: writtenAt,
          },
        ]);
        this.onSent();
        return;
      } catch (error) {
        const failure = noteFailure(error);
        if (!failure.isTransient) {
          this.#change(key, { failure, messageId: undefined });
          return;
        }
        await waitForNetwork(backoffMs(failures));
      }
    }
  }

  #change(key: string, changes: Partial<Unsent>): void {
    this.#unsent.value = this.#unsent.value.map((unsent) =>
      unsent.key === key ? { ...unsent, ...changes } : unsent,
    );
  }

  #setOlder(token: string): void {
    this.#olderToken = token;
    this.older.value = token === '' ? undefined : 'ready';
  }

  #add(added: readonly Message[]): void {
    const byId = new Map(this.messages.value.map((message) => [message.message_id, message]));
    for (const message of added) {
      const known = byId.get(message.message_id);
      if (!known) this.#recognize(message);
      // What the server says of it, it knows better than this side.
      if (!known || message.sender_email !== '') byId.set(message.message_id, message);
    }
    this.messages.value = [...byId.values()].toSorted(
      (one, other) => Number(one.message_id) - Number(other.message_id),
    );
  }

  /** Takes a message that came by another way than its acknowledgement for the one that is being sent. */
  #recognize({ message_id, receiver_email, content }: Message): void {
    if (receiver_email !== this.email) return;
    const unsent = this.unsent.value.find(
      (candidate) =>
        candidate.content === content && !candidate.failure && Number(message_id) > candidate.afterId,
    );
    if (unsent) this.#change(unsent.key, { messageId: message_id });
  }
}

/** `crypto.randomUUID` is only there over TLS, or on localhost. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
