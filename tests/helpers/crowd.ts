import { Client, credentials } from '@grpc/grpc-js';
import type { Redis } from 'ioredis';
import { type Account, connect } from './clients.js';
import { Follower } from './follower.js';
import { signIn } from './inbox.js';
import type { Addresses } from './suite.js';
import { Traffic } from './traffic.js';
import { waitFor } from './wait-for.js';

/** Every fourth user follows by events, as a browser does. */
const BROWSERS = 4;

/** Callers from outside, behind a balancer: each has connections of its own, eight users that write to each other, and somebody who follows each of them. */
export class Crowd {
  readonly #followers = new Map<string, Follower>();
  readonly #callers: { door: ReturnType<typeof connect>; traffic: Traffic }[];

  /**
   * @param count how many callers: a balancer gives the connections of each to another replica
   * @param pauseMs how long each user waits before the next message
   * @param redis where it is, for looking at the results; how to open a database of it, where that takes more
   */
  constructor(
    readonly addresses: Addresses,
    count: number,
    pauseMs: number,
    redis: { host: string; port: number; databases?: (database: 0 | 1 | 2) => Redis },
  ) {
    this.#callers = Array.from({ length: count }, (_, index) => {
      const clients = connect(
        addresses,
        redis,
        (address) =>
          new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
      );
      const door = { ...clients, redis: redis.databases ?? clients.redis };
      return { door, traffic: new Traffic(door, `caller${index}-`, door, pauseMs) };
    });
  }

  get emails(): string[] {
    return this.#callers.flatMap(({ traffic }) => traffic.accounts.map(({ email }) => email));
  }

  get acknowledged(): number {
    return this.#callers.reduce((sum, { traffic }) => sum + traffic.acknowledged.length, 0);
  }

  /** What callers were told whose call failed. */
  get refused(): string[] {
    return this.#callers.flatMap(({ traffic }) => traffic.refused.map(String));
  }

  /** Signs all users up, has them begin to write, and follows them. */
  async start(): Promise<void> {
    for (const { traffic, door } of this.#callers) {
      await traffic.start();
      for (const [index, account] of traffic.accounts.entries()) {
        const { frontend_service_api } = this.addresses;
        const follower =
          index % BROWSERS === 0
            ? Follower.byEvents(frontend_service_api, await this.#signIn(account))
            : Follower.byWatch(door.channel('frontend_service_grpc'), account.email);
        this.#followers.set(account.email, follower);
      }
    }
  }

  /** Waits until that many more messages of every caller are acknowledged. */
  async waitForMore(count: number): Promise<void> {
    await Promise.all(this.#callers.map(({ traffic }) => traffic.waitForMore(count)));
  }

  /** Ends, and compares: as `Traffic` does, and whoever follows has got every notification once, and in order. */
  async expectNothingLost(): Promise<void> {
    for (const { traffic } of this.#callers) await traffic.expectNothingLost();
    const lists = await Promise.all(this.#callers.map(({ traffic }) => traffic.notificationIds()));
    const notified = lists.flat();
    for (const [email, follower] of this.#followers) {
      await follower.expectAllOnce(notified.filter((one) => one.startsWith(`${email} `)).length);
    }
  }

  async end(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.end()));
    await Promise.all(this.#callers.map(({ traffic }) => traffic.end()));
    for (const { door } of this.#callers) door.close();
  }

  /** What has just started may be slow at first. */
  async #signIn(account: Account): Promise<string> {
    return waitFor(() => signIn(this.addresses.frontend_service_api, account), {
      what: `${account.email} is signed in`,
      timeoutMs: 60_000,
    });
  }
}
