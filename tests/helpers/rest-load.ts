import { setTimeout as sleep } from 'node:timers/promises';
import type { Addresses } from './suite.js';

/** How long it waits before the next request. */
const PAUSE_MS = 100;

/** Requests to every REST door in turn, one after the other, from their begin until they are told to end. */
export class RestLoad {
  answered = 0;
  /** Those that got no answer, or one that says that the other side has failed. */
  readonly failed: string[] = [];
  readonly #end = new AbortController();
  readonly #going: Promise<void>;

  /** @param emails users that there are */
  constructor(addresses: Addresses, [one = '', other = '']: readonly string[]) {
    const message = { sender_email: one, receiver_email: other, content: 'by REST' };
    this.#going = this.#go([
      { url: `http://${addresses.user_service_api}/users/${one}` },
      { url: `http://${addresses.message_service_api}/list_conversations?email=${one}` },
      { url: `http://${addresses.notification_service_api}/list_notifications?email=${one}` },
      { url: `http://${addresses.frontend_service_api}/api/session` },
      { url: `http://${addresses.message_service_api}/messages`, body: JSON.stringify(message) },
    ]);
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#going;
  }

  async #go(requests: { url: string; body?: string }[]): Promise<void> {
    for (let count = 0; !this.#end.signal.aborted; count++) {
      const { url = '', body } = requests[count % requests.length] ?? {};
      try {
        const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: body ?? '' };
        const response = await fetch(url, body === undefined ? {} : post);
        const text = await response.text();
        if (response.status >= 500) this.failed.push(`${url}: ${response.status} ${text}`);
        else this.answered++;
      } catch (error) {
        this.failed.push(`${url}: ${String(error)}`);
      }
      await sleep(PAUSE_MS);
    }
  }
}
