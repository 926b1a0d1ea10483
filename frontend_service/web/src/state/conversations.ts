import { computed, signal } from '@preact/signals';
import { listConversations, markConversationRead } from '../api/routes.js';
import type { Conversation } from '../api/schemas.js';
import { compareIds } from '../lib/ids.js';
import { Pager } from './pager.js';

/** With whom the user has exchanged messages, most recent first. */
export class ConversationList {
  readonly #byEmail = signal<ReadonlyMap<string, Conversation>>(new Map());
  /** Whose messages are being marked read: an answer from before that must not bring the badge back. */
  readonly #marking = new Set<string>();

  readonly pager = new Pager({
    fetchPage: listConversations,
    store: (pages) => this.#merge(pages.flatMap(({ conversations }) => conversations)),
    reachesKnown: ({ conversations }) => conversations.some((conversation) => this.#isKnown(conversation)),
  });
  readonly items = computed(() =>
    [...this.#byEmail.value.values()].toSorted((one, other) =>
      compareIds(other.last_message.message_id, one.last_message.message_id),
    ),
  );
  readonly unread = computed(() => this.items.value.reduce((sum, { unread }) => sum + unread, 0));

  refresh = this.pager.loader.refresh;

  find(email: string): Conversation | undefined {
    return this.#byEmail.value.get(email);
  }

  /** Says that the user has seen what `email` wrote. @throws {ApiError} */
  async markRead(email: string): Promise<void> {
    this.#marking.add(email);
    const conversation = this.#byEmail.peek().get(email);
    if (conversation) this.#merge([conversation]);
    try {
      await this.pager.loader.exclusively(() => markConversationRead(email));
    } finally {
      this.#marking.delete(email);
    }
  }

  #isKnown({ email, last_message }: Conversation): boolean {
    return this.find(email)?.last_message.message_id === last_message.message_id;
  }

  #merge(conversations: Conversation[]): void {
    const byEmail = new Map(this.#byEmail.peek());
    for (const conversation of conversations) {
      const unread = this.#marking.has(conversation.email) ? 0 : conversation.unread;
      byEmail.set(conversation.email, { ...conversation, unread });
    }
    this.#byEmail.value = byEmail;
  }
}
