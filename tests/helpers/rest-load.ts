import { setTimeout as sleep } from 'node:timers/promises';
import type { Addresses } from './suite.js';

/** How long it waits before the next request. */
const PAUSE_MS = 100;

/** Requests to every REST door in turn, one after the other, from `start` until `end`: by two users of its own, one of whom writes to the other. */
export class RestLoad {
  readonly sender = 'rest-sender@example.com';
  readonly receiver = 'rest-receiver@example.com';
  answered = 0;
  /** How many messages were acknowledged. */
  sent = 0;
  /** Those that got no answer, or one that says that the other side has failed. */
  readonly failed: string[] = [];
  readonly #end = new AbortController();
  #going: Promise<void> = Promise.resolve();

  constructor(private readonly addresses: Addresses) {}

  async start(): Promise<void> {
    for (const email of [this.sender, this.receiver]) {
      await this.#ask(`${this.addresses.user_service_api}/users`, {
        email,
        password: 'secret',
        name: 'REST',
      });
    }
    this.#going = this.#go();
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#going;
  }

  async #go(): Promise<void> {
    const { user_service_api, message_service_api, notification_service_api, frontend_service_api } =
      this.addresses;
    const message = { sender_email: this.sender, receiver_email: this.receiver, content: 'by REST' };
    const requests = [
      () => this.#ask(`${user_service_api}/users/${this.sender}`),
      () => this.#ask(`${message_service_api}/list_conversations?email=${this.sender}`),
      () => this.#ask(`${notification_service_api}/list_notifications?email=${this.receiver}`),
      () => this.#ask(`${frontend_service_api}/api/session`),
      async () => {
        if ((await this.#ask(`${message_service_api}/messages`, message)) === 201) this.sent++;
      },
    ];
    while (!this.#end.signal.aborted) {
      for (const request of requests) {
        await request();
        await sleep(PAUSE_MS);
      }
    }
  }

  /** Resolves to the status; undefined where there was no answer. */
  async #ask(url: string, body?: object): Promise<number | undefined> {
    try {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(
        `http://${url}`,
        body ? { method: 'POST', headers, body: JSON.stringify(body) } : {},
      );
      const text = await response.text();
      if (response.status < 500) this.answered++;
      else this.failed.push(`${url}: ${response.status} ${text}`);
      return response.status;
    } catch (error) {
      this.failed.push(`${url}: ${String(error)}`);
      return undefined;
    }
  }
}
