import { setTimeout as sleep } from 'node:timers/promises';
import type { Message__Output as Message } from '@messaging/proto_definitions/message_service/Message';
import { expect } from 'vitest';
import { z } from 'zod';
import type { Account, connect } from './clients.js';
import { parseJson } from './expectations.js';
import type { Suite } from './suite.js';
import { waitFor } from './wait-for.js';

type Clients = ReturnType<typeof connect>;

const SENDERS = 8;
/** Paces a sender whose call was refused at once. */
const PAUSE_AFTER_REFUSAL_MS = 20;

const notification = z.looseObject({ id: z.string(), message_id: z.string(), sender_email: z.string() });

/** A message whose sender was told that it is sent. */
interface Acknowledged {
  messageId: string;
  receiver: string;
  content: string;
}

/** Eight senders that write to each other, without pause unless told, until they are told to end. */
export class Traffic {
  readonly acknowledged: Acknowledged[] = [];
  readonly refused: unknown[] = [];
  readonly #end = new AbortController();
  readonly #emails: string[];
  #senders: Promise<unknown> = Promise.resolve();

  /**
   * @param door what the senders send through, where that is not what looks at the results
   * @param pauseMs how long each sender waits before its next message
   */
  constructor(
    private readonly clients: Clients,
    private readonly name: string,
    private readonly door: Clients = clients,
    private readonly pauseMs = 0,
  ) {
    this.#emails = Array.from({ length: SENDERS }, (_, index) => `${name}${index}@example.com`);
  }

  /** Who sends, and is sent to. */
  get accounts(): readonly Account[] {
    return this.#emails.map((email) => ({ email, password: 'secret', name: 'Sender' }));
  }

  /** Signs the senders up, and has them begin. */
  async start(): Promise<void> {
    for (const account of this.accounts) {
      await this.clients.rest.users().post('/users').send(account).expect(201);
    }
    this.#senders = Promise.all(this.#emails.map((_, index) => this.#send(index)));
  }

  /** Waits until that many more messages are acknowledged. */
  async waitForMore(count: number): Promise<void> {
    const goal = this.acknowledged.length + count;
    await waitFor(() => this.acknowledged.length >= goal, {
      what: `${count} more messages are acknowledged`,
      timeoutMs: 40_000,
    });
  }

  /** Waits until a message is refused from now on. */
  async waitForRefusal(): Promise<void> {
    const before = this.refused.length;
    await waitFor(() => this.refused.length > before, { what: 'a message is refused', timeoutMs: 20_000 });
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#senders;
  }

  /**
   * Ends, waits until nothing is under way any more, and compares: what was acknowledged is stored, what is
   * stored is stored once and notified once, and every receiver's notifications are counted without a gap.
   */
  async expectNothingLost(): Promise<void> {
    await this.end();
    expect(this.acknowledged.length).toBeGreaterThanOrEqual(300);
    const streams = [
      ['outbox:notify', this.clients.redis(1)],
      ['outbox:push', this.clients.redis(2)],
    ] as const;
    for (const [stream, redis] of streams) {
      await waitFor(async () => (await redis.xlen(stream)) === 0, {
        what: `${stream} is empty`,
        timeoutMs: 60_000,
      });
      expect(await redis.exists(`${stream}:dead`)).toBe(0);
    }
    for (const email of this.#emails) await this.#expectComplete(email);
  }

  /** Every notification, as `receiver id`. */
  async notificationIds(): Promise<string[]> {
    const lists = await Promise.all(
      this.#emails.map(async (email) => (await this.#notified(email)).map(({ id }) => `${email} ${id}`)),
    );
    return lists.flat();
  }

  async #send(index: number): Promise<void> {
    const sender_email = this.#emails[index] ?? '';
    for (let count = 0; !this.#end.signal.aborted; count++) {
      const receiver_email = this.#emails[(index + 1 + (count % (SENDERS - 1))) % SENDERS] ?? '';
      const content = `${this.name} ${index}.${count}`;
      try {
        const reply = await this.door.grpc.messages.SendMessage({
          message: { sender_email, receiver_email, content },
        });
        expect(reply.success).toBe(true);
        this.acknowledged.push({ messageId: reply.message_id ?? '', receiver: receiver_email, content });
      } catch (error) {
        this.refused.push(error);
        await sleep(PAUSE_AFTER_REFUSAL_MS);
      }
      if (this.pauseMs > 0) await sleep(this.pauseMs);
    }
  }

  async #notified(email: string) {
    const texts = await this.clients.redis(2).lrange(`notifications:${email}`, 0, -1);
    return texts.map((text) => parseJson(notification, text));
  }

  async #received(user_email: string) {
    const received: Message[] = [];
    let page_token = '';
    do {
      const reply = await this.clients.grpc.messages.GetMessages({ user_email, page_token });
      received.push(...reply.messages.filter((message) => message.receiver_email === user_email));
      page_token = reply.next_page_token ?? '';
    } while (page_token !== '');
    return received;
  }

  async #expectComplete(email: string): Promise<void> {
    const received = await this.#received(email);
    const contents = received.map(({ content = '' }) => content);
    expect(new Set(contents).size, 'stored once').toBe(contents.length);

    const acknowledged = this.acknowledged.filter(({ receiver }) => receiver === email);
    const stored = new Map(received.map(({ message_id, content }) => [message_id, content]));
    for (const { messageId, content } of acknowledged) expect(stored.get(messageId)).toBe(content);

    const notified = await this.#notified(email);
    expect(notified.map(({ message_id }) => Number(message_id)).toSorted(ascending)).toEqual(
      received.map(({ message_id }) => Number(message_id)).toSorted(ascending),
    );
    expect(notified.map(({ id }) => Number(id))).toEqual(
      Array.from({ length: notified.length }, (_, index) => notified.length - index),
    );
  }
}

const shown = z.object({ msg: z.literal('notification'), to: z.string(), id: z.string() });

/** What FrontendService has shown, as `receiver id`: a line in its log each. */
export function shownNotifications(suite: Suite): Set<string> {
  const lines = suite.process('frontend_service_grpc').output.split('\n').filter(Boolean);
  return new Set(
    lines.flatMap((line) => {
      const entry = shown.safeParse(JSON.parse(line));
      return entry.success ? [`${entry.data.to} ${entry.data.id}`] : [];
    }),
  );
}

/** Is every item in the set? */
export function isSubset<Item>(items: readonly Item[], set: ReadonlySet<Item>): boolean {
  return items.every((item) => set.has(item));
}

function ascending(one: number, other: number): number {
  return one - other;
}
