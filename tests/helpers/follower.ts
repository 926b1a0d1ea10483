import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@grpc/grpc-js';
import { expect } from 'vitest';
import { EventStream } from './inbox.js';
import { idsShown, watchNotifications } from './watch.js';
import { waitFor } from './wait-for.js';

/** How long a follower waits before it connects again. */
const PAUSE_MS = 200;

/** Somebody who follows a user's notifications, and connects again whenever the connection is lost, after the last that came. */
export class Follower {
  readonly #end = new AbortController();
  #earlier: string[] = [];
  #current: () => string[] = () => [];
  #disconnect = () => {};
  readonly #following: Promise<void>;

  private constructor(follow: (after: string, follower: Follower) => Promise<void>) {
    this.#following = this.#follow(follow);
  }

  /** Follows by `WatchNotifications`. */
  static byWatch(channel: Client, email: string): Follower {
    return new Follower(async (after_id, follower) => {
      const watch = watchNotifications(channel, { email, after_id });
      follower.#current = () => idsShown(watch);
      follower.#disconnect = () => watch.cancel();
      await watch.ended;
    });
  }

  /** Follows by the events that a browser gets. */
  static byEvents(address: string, cookie: string): Follower {
    return new Follower(async (after, follower) => {
      const stream = await EventStream.open(address, cookie, after);
      follower.#current = () => stream.notificationIds.map((id = '') => id);
      follower.#disconnect = () => stream.close();
      if (follower.#end.signal.aborted) stream.close();
      await stream.ended;
    });
  }

  /** The ids of the notifications that came, in that order. */
  get ids(): string[] {
    return [...this.#earlier, ...this.#current()];
  }

  /** Expects the first `count` notifications to have come, or to come soon: each once, and in their order. */
  async expectAllOnce(count: number): Promise<void> {
    await waitFor(() => this.ids.length >= count, { what: `${count} notifications came`, timeoutMs: 20_000 });
    expect(this.ids).toEqual(Array.from({ length: count }, (_, index) => String(index + 1)));
  }

  async end(): Promise<void> {
    this.#end.abort();
    this.#disconnect();
    await this.#following;
  }

  async #follow(follow: (after: string, follower: Follower) => Promise<void>): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      // Nobody there at the moment: it tries again.
      await follow(this.ids.at(-1) ?? '0', this).catch(() => {});
      this.#earlier = this.ids;
      this.#current = () => [];
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
    }
  }
}
