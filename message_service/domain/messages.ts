import { ServiceError } from '@messaging/service_kit/errors';
import {
  DEFAULT_PAGE_SIZE,
  decodePageToken,
  encodePageToken,
  type Page,
  type PageRequest,
} from '@messaging/service_kit/paging';
import { checkDeadline, type RequestContext } from '@messaging/service_kit/request';
import pLimit from 'p-limit';
import type { UserGateway } from '../clients/user-gateway.js';
import type { AddOutcome, MessageStore } from '../store/message-store.js';
import type { Conversation, MessageList, MessageRecord, NewMessage } from './message.js';
import type { Notifier } from './notifier.js';

/** A reply stays below what gRPC clients accept by default (4 MiB): a record is longer as JSON than on the wire. */
const MAX_PAGE_BYTES = 4_000_000;

/** How many messages one command reads at the most, so that Redis is never held up for long. */
const BATCH_SIZE = 1_000;

/** Long lists are read a few at a time: many at once would hold up everything else until it times out. */
const MAX_CONCURRENT_LISTS = 4;

/** What became of a message. */
export type SendOutcome =
  { status: 'stored'; messageId: string } | { status: 'unknownSender' } | { status: 'unknownReceiver' };

/** Sending messages, and reading them. */
export class Messages {
  readonly #lists = pLimit(MAX_CONCURRENT_LISTS);

  constructor(
    private readonly store: MessageStore,
    private readonly users: UserGateway,
    private readonly notifier: Notifier,
  ) {}

  /**
   * Stores a message between two accounts and has its receiver notified. Once the message is stored, the outcome
   * is `stored`, whatever becomes of the notification: it follows. A repeat of a request with an id stores nothing
   * and has the first outcome.
   *
   * @throws {ServiceError} `unavailable` or `tooSlow` when it can't be known whether the accounts exist;
   *   `mismatch` when the request's id was used for another message.
   */
  async sendMessage(message: NewMessage, context: RequestContext): Promise<SendOutcome> {
    const { senderEmail, receiverEmail } = message;
    const earlier = await this.store.findRequest(message);
    if (earlier) return this.#conclude(earlier, message);

    const [senderExists, receiverExists] = await this.#exist(senderEmail, receiverEmail, context);
    if (!senderExists) return { status: 'unknownSender' };
    if (!receiverExists) return { status: 'unknownReceiver' };

    checkDeadline(context);
    return this.#conclude(await this.store.addMessage(message, new Date()), message);
  }

  async #conclude(added: AddOutcome, { senderEmail, receiverEmail }: NewMessage): Promise<SendOutcome> {
    if (added.result === 'mismatch') {
      throw new ServiceError(
        'mismatch',
        'This request id came with another message before: choose a new one',
      );
    }
    const { messageId } = added;
    if (added.result === 'stored') {
      await this.notifier.notify(added.entryId, {
        message_id: messageId,
        sender_email: senderEmail,
        receiver_email: receiverEmail,
      });
    }
    return { status: 'stored', messageId };
  }

  /**
   * Lists messages in the order in which they were stored. Without a size, the page holds as many as fit a reply.
   *
   * @throws {ServiceError} `invalid` for a bad token.
   */
  async listMessages(list: MessageList, page: PageRequest): Promise<Page<MessageRecord>> {
    const tokenScope = ['messages', list.userEmail, list.withEmail ?? '', String(list.newestFirst)];
    const after = decodePageToken(tokenScope, page.token);
    return this.#lists(async () => {
      const { items, nextAfter } = await this.#readPage(list, page.size, after);
      return { items, nextPageToken: nextAfter === undefined ? '' : encodePageToken(tokenScope, nextAfter) };
    });
  }

  /**
   * Lists a user's conversations a page at a time, the most recent first.
   *
   * @throws {ServiceError} `invalid` for a bad token.
   */
  async listConversationsPage(email: string, page: PageRequest): Promise<Page<Conversation>> {
    const tokenScope = ['conversations', email];
    const { conversations, nextBefore } = await this.store.readConversations(
      email,
      page.size ?? DEFAULT_PAGE_SIZE,
      decodePageToken(tokenScope, page.token),
    );
    return {
      items: conversations,
      nextPageToken: nextBefore === undefined ? '' : encodePageToken(tokenScope, nextBefore),
    };
  }

  /** Notes that a user has seen every message that came from another so far. */
  async markConversationRead(email: string, other: string): Promise<void> {
    await this.store.markConversationRead(email, other);
  }

  /** Lists whom a user has exchanged messages with, the most recent first. */
  async listConversations(email: string): Promise<string[]> {
    return this.store.listConversations(email);
  }

  async #readPage(list: MessageList, size = Infinity, firstAfter?: string) {
    let after = firstAfter;
    const items: MessageRecord[] = [];
    let roomBytes = MAX_PAGE_BYTES;
    for (;;) {
      const count = Math.min(BATCH_SIZE, size - items.length);
      const slice = await this.store.readMessages(list, { after, count, maxBytes: roomBytes });
      items.push(...slice.messages);
      roomBytes -= slice.bytes;
      after = slice.nextAfter;
      if (slice.stoppedBy !== 'count' || items.length === size) return { items, nextAfter: after };
    }
  }

  async #exist(
    senderEmail: string,
    receiverEmail: string,
    context: RequestContext,
  ): Promise<[boolean, boolean]> {
    const sender = this.users.exists(senderEmail, context);
    const receiver = senderEmail === receiverEmail ? sender : this.users.exists(receiverEmail, context);
    return Promise.all([sender, receiver]);
  }
}
