import { batch, computed, signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { listMessages } from '../api/routes.js';
import type { Message } from '../api/schemas.js';
import { compareIds } from '../lib/ids.js';
import { Loader } from './loader.js';
import { Outbox, type OutgoingMessage } from './outbox.js';

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
  readonly olderStatus = signal<'idle' | 'loading' | 'failed'>('idle');
  readonly #messages = signal<readonly Message[]>([]);
  readonly #olderPageToken = signal('');
  /** Under which key a message was written here, by its id. */
  readonly #keys = new Map<string, string>();
  /** The newest up to which all are known that are not older than the oldest. */
  #newestFetchedId: string | undefined;
  readonly #loader = new Loader(() => this.#load());

  readonly status = this.#loader.status;
  readonly hasOlder = computed(() => this.#olderPageToken.value !== '');
  readonly items = computed(() => this.#toItems());

  refresh = this.#loader.refresh;
  retry = this.#loader.retry;

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

  loadOlder = async (): Promise<void> => {
    if (this.olderStatus.value === 'loading' || !this.hasOlder.value) return;
    this.olderStatus.value = 'loading';
    try {
      await this.#loader.exclusively(async () => {
        const page = await listMessages(this.email, this.#olderPageToken.value);
        batch(() => {
          this.#merge(page.messages);
          this.#olderPageToken.value = page.next_page_token;
        });
      });
      this.olderStatus.value = 'idle';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.olderStatus.value = 'failed';
    }
  };

  stop(): void {
    this.#loader.stop();
    this.outbox.stop();
  }

  async #load(): Promise<void> {
    const known = this.#newestFetchedId;
    const fetched: Message[] = [];
    let token = '';
    let isUpToDate: boolean;
    do {
      const page = await listMessages(this.email, token);
      fetched.push(...page.messages);
      token = page.next_page_token;
      const oldest = page.messages.at(-1);
      isUpToDate = known === undefined || !oldest || compareIds(oldest.message_id, known) <= 0;
    } while (!isUpToDate && token !== '');
    batch(() => {
      this.#merge(fetched);
      this.#newestFetchedId = fetched[0]?.message_id ?? known;
      if (known === undefined || token === '') this.#olderPageToken.value = token;
    });
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
