import { ServiceError } from '@messaging/service_kit/errors';
import {
  DEFAULT_PAGE_SIZE,
  decodePageToken,
  encodePageToken,
  type Page,
  type PageRequest,
} from '@messaging/service_kit/paging';
import { checkDeadline, type RequestContext } from '@messaging/service_kit/request';
import type { RateLimit } from '@messaging/service_kit/redis/rate-limits';
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

/** How many messages of a mailbox that are too old go with each that is stored: more than come, so that they run out. */
const EXPIRED_AT_ONCE = 2;

const MINUTE_MS = 60 * 1_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** For how long messages can be deleted, and are kept. */
export interface MessageTimes {
  /** For how long after it was sent a message can be deleted for both parties, in minutes. */
  deleteForBothMinutes: number;
  /** For how long a message is kept, in days; 0 is for ever. */
  maxAgeDays: number;
}

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
    private readonly times: MessageTimes,
    private readonly sendLimit: RateLimit | undefined,
  ) {}

  /**
   * Stores a message between two accounts and has its receiver notified. Once the message is stored, the outcome
   * is `stored`, whatever becomes of the notification: it follows. A repeat of a request with an id stores nothing
   * and has the first outcome.
   *
   * @throws {ServiceError} `unavailable` or `tooSlow` when it can't be known whether the accounts exist;
   *   `mismatch` when the request's id was used for another message; `tooMany` when its sender sends too many.
   */
  async sendMessage(message: NewMessage, context: RequestContext): Promise<SendOutcome> {
    const { senderEmail, receiverEmail } = message;
    const earlier = await this.store.findRequest(message);
    if (earlier) return this.#conclude(earlier, message, context);
    await this.sendLimit?.take(senderEmail);

    const [sender, receiver] = await this.users.findParties(senderEmail, receiverEmail, context);
    if (!sender.exists) return { status: 'unknownSender' };
    if (!receiver.exists) return { status: 'unknownReceiver' };

    checkDeadline(context);
    const tenures = { sender: sender.tenure, receiver: receiver.tenure };
    const added = await this.store.addMessage(message, tenures, new Date(), context);
    return this.#conclude(added, message, context, receiver.tenure);
  }

  async #conclude(
    added: AddOutcome,
    { senderEmail, receiverEmail }: NewMessage,
    context: RequestContext,
    receiverTenure = '',
  ): Promise<SendOutcome> {
    if (added.result === 'unknownSender' || added.result === 'unknownReceiver') {
      return { status: added.result };
    }
    if (added.result === 'mismatch') {
      throw new ServiceError(
        'mismatch',
        'This request id came with another message before: choose a new one',
      );
    }
    const { messageId } = added;
    if (added.result === 'stored') {
      const notification = {
        message_id: messageId,
        sender_email: senderEmail,
        receiver_email: receiverEmail,
        receiver_tenure: receiverTenure,
      };
      await this.notifier.notify(added.entryId, notification, context);
      if (this.times.maxAgeDays > 0) {
        for (const email of new Set([senderEmail, receiverEmail])) void this.#deleteExpired(email);
      }
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

  /**
   * Deletes a message: for a user alone, who sent or received it; or for both parties, which only its sender can, for some
   * time.
   *
   * @throws {ServiceError} `notFound` when the user has no such message; for both parties also `forbidden` when another
   *   sent it, and `mismatch` when it is too old.
   */
  async deleteMessage(email: string, messageId: string, forBoth: boolean): Promise<void> {
    const message = await this.store.findMessage(email, messageId);
    if (!message) throw noSuchMessage(email, messageId);
    if (forBoth) this.#checkIsRevocable(email, message);
    const { sender_email, receiver_email } = message;
    const isDeleted = await this.store.deleteMessage(
      message,
      forBoth ? [sender_email, receiver_email] : [email],
    );
    if (!isDeleted) throw noSuchMessage(email, messageId);
  }

  #checkIsRevocable(email: string, { sender_email, timestamp }: MessageRecord): void {
    if (sender_email !== email) {
      throw new ServiceError('forbidden', 'Only its sender can delete a message for both');
    }
    const { deleteForBothMinutes } = this.times;
    // What is no date is too old.
    if (Date.now() - Date.parse(timestamp) <= deleteForBothMinutes * MINUTE_MS) return;
    throw new ServiceError(
      'mismatch',
      `A message can be deleted for both within ${deleteForBothMinutes} minutes; you can still delete it for yourself`,
    );
  }

  /** Deletes, for both parties, what is too old of the oldest in a mailbox. What fails now is left to the next message. */
  async #deleteExpired(email: string): Promise<void> {
    const oldestKept = new Date(Date.now() - this.times.maxAgeDays * DAY_MS).toISOString();
    try {
      for (const message of await this.store.readOldest(email, EXPIRED_AT_ONCE)) {
        const parties = [message.sender_email, message.receiver_email];
        if (message.timestamp < oldestKept) await this.store.deleteMessage(message, parties);
      }
    } catch {}
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
}

function noSuchMessage(email: string, messageId: string): ServiceError {
  return new ServiceError('notFound', `${email} has no message ${messageId}`);
}
