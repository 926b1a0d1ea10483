import { computed, signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { listConversations, markConversationRead } from '../api/routes.js';
import type { Conversation } from '../api/schemas.js';
import { compareIds } from '../lib/ids.js';
import { Loader } from './loader.js';

/** With whom the user has exchanged messages, most recent first. */
export class ConversationList {
  readonly #byEmail = signal<ReadonlyMap<string, Conversation>>(new Map());
  readonly #nextPageToken = signal('');
  /** Whose messages are being marked read: an answer from before that must not bring the badge back. */
  readonly #marking = new Set<string>();
  readonly #loader = new Loader(() => this.#load());

  readonly status = this.#loader.status;
  readonly isLoadingMore = signal(false);
  readonly items = computed(() =>
    [...this.#byEmail.value.values()].toSorted((one, other) =>
      compareIds(other.last_message.message_id, one.last_message.message_id),
    ),
  );
  readonly unread = computed(() => this.items.value.reduce((sum, { unread }) => sum + unread, 0));
  readonly hasMore = computed(() => this.#nextPageToken.value !== '');

  refresh = this.#loader.refresh;
  retry = this.#loader.retry;
  stop = () => this.#loader.stop();

  find(email: string): Conversation | undefined {
    return this.#byEmail.value.get(email);
  }

  loadMore = async (): Promise<void> => {
    if (this.isLoadingMore.value) return;
    this.isLoadingMore.value = true;
    try {
      await this.#loader.exclusively(async () => {
        const page = await listConversations(this.#nextPageToken.value);
        this.#merge(page.conversations);
        this.#nextPageToken.value = page.next_page_token;
      });
    } catch (error) {
      // The button stays, to try again.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      this.isLoadingMore.value = false;
    }
  };

  /** Says that the user has seen what `email` wrote. @throws {ApiError} */
  async markRead(email: string): Promise<void> {
    this.#marking.add(email);
    const conversation = this.find(email);
    if (conversation) this.#merge([conversation]);
    try {
      await this.#loader.exclusively(() => markConversationRead(email));
    } finally {
      this.#marking.delete(email);
    }
  }

  async #load(): Promise<void> {
    const isFirstLoad = this.status.value !== 'ready';
    const fetched: Conversation[] = [];
    let token = '';
    let isUpToDate: boolean;
    do {
      const page = await listConversations(token);
      fetched.push(...page.conversations);
      token = page.next_page_token;
      // Behind one in which nothing happened, nothing happened in any.
      isUpToDate = isFirstLoad || page.conversations.some((conversation) => this.#isKnown(conversation));
    } while (!isUpToDate && token !== '');
    this.#merge(fetched);
    if (isFirstLoad || token === '') this.#nextPageToken.value = token;
  }

  #isKnown({ email, last_message }: Conversation): boolean {
    return this.find(email)?.last_message.message_id === last_message.message_id;
  }

  #merge(conversations: Conversation[]): void {
    const byEmail = new Map(this.#byEmail.value);
    for (const conversation of conversations) {
      const unread = this.#marking.has(conversation.email) ? 0 : conversation.unread;
      byEmail.set(conversation.email, { ...conversation, unread });
    }
    this.#byEmail.value = byEmail;
  }
}
