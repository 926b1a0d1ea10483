import { computed, signal } from '@preact/signals';
import type { ApiError } from '../api/request.js';
import { listMessages } from '../api/routes.js';
import type { Message } from '../api/schemas.js';
import { compareIds } from '../lib/ids.js';
import { Outbox, type OutgoingMessage } from './outbox.js';
import { Pager } from './pager.js';

/** A message as a thread shows it. */
export interface ThreadItem {
  /** The same from being written to being acknowledged and fetched. */
  key: string;
  /** The server's; missing until it has acknowledged the message. */
  id?: string;
  isMine: boolean;
  content: string;
  timestamp: string;
  state: 'sent' | OutgoingMessage['state'];
  error?: ApiError | undefined;
}

/** The messages exchanged with one other, oldest first. */
export class Thread {
  readonly outbox: Outbox;
  /** What is written but not sent. */
  readonly draft = signal('');
  readonly #messages = signal<readonly Message[]>([]);
  /** Under which key a message was written here, by its id. */
  readonly #keys = new Map<string, string>();
  /** From the oldest message here up to this one, none is missing. */
  #newestFetchedId: string | undefined;

  readonly pager = new Pager({
    fetchPage: (pageToken) => listMessages(this.email, pageToken),
    store: (pages) => this.#store(pages.flatMap(({ messages }) => messages)),
    reachesKnown: ({ messages }) => {
      const oldest = messages.at(-1);
      const newestId = this.#newestFetchedId;
      return oldest !== undefined && newestId !== undefined && compareIds(oldest.message_id, newestId) <= 0;
    },
  });
  readonly items = computed(() => this.#toItems());

  refresh = this.pager.loader.refresh;

  /**
   * @param me the user
   * @param email the other
   * @param onSent called once a message of the user's is acknowledged
   */
  constructor(
    private readonly me: string,
    readonly email: string,
    onSent: () => void,
  ) {
    this.outbox = new Outbox(email, (message, id) => {
      this.#acknowledge(message, id);
      onSent();
    });
  }

  send(content: string): void {
    this.outbox.add(content, this.#messages.value.at(-1)?.message_id ?? '');
  }

  stop(): void {
    this.pager.loader.stop();
    this.outbox.stop();
  }

  #store(messages: Message[]): void {
    this.#merge(messages);
    const newestId = this.#newestFetchedId;
    const [newest] = messages;
    if (newest && (newestId === undefined || compareIds(newest.message_id, newestId) > 0)) {
      this.#newestFetchedId = newest.message_id;
    }
  }

  #merge(messages: Message[]): void {
    const byId = new Map(this.#messages.value.map((message) => [message.message_id, message]));
    for (const message of messages) byId.set(message.message_id, message);
    this.#messages.value = [...byId.values()].toSorted((one, other) =>
      compareIds(one.message_id, other.message_id),
    );
  }

  #acknowledge({ key, content, timestamp }: OutgoingMessage, id: string): void {
    this.#keys.set(id, key);
    const isFetched = this.#messages.value.some(({ message_id }) => message_id === id);
    if (isFetched) return this.#merge([]);
    const parties = { sender_email: this.me, receiver_email: this.email };
    this.#merge([{ message_id: id, content, timestamp, ...parties }]);
  }

  #toItems(): ThreadItem[] {
    const underWay = this.outbox.underWay.value;
    const sent = this.#messages.value
      .filter((message) => !underWay.some((outgoing) => this.#maySame(message, outgoing)))
      .map((message): ThreadItem => ({
        key: this.#keys.get(message.message_id) ?? message.message_id,
        id: message.message_id,
        isMine: message.sender_email === this.me,
        content: message.content,
        timestamp: message.timestamp,
        state: 'sent',
      }));
    const outgoing = this.outbox.messages.value.map((message): ThreadItem => ({ ...message, isMine: true }));
    return [...sent, ...outgoing];
  }

  /**
   * Whether a message may be one whose acknowledgement is still on its way, or got lost: it then shows as that one
   * until it is known. What the user sent from elsewhere and reads the same has to wait for that as well.
   */
  #maySame(message: Message, outgoing: OutgoingMessage): boolean {
    return (
      message.sender_email === this.me &&
      message.content === outgoing.content &&
      compareIds(message.message_id, outgoing.afterId) > 0 &&
      !this.#keys.has(message.message_id)
    );
  }
}
