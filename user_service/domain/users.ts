import { setTimeout as sleep } from 'node:timers/promises';
import { isTransient, ServiceError, toServiceError } from '@messaging/service_kit/errors';
import {
  DEFAULT_PAGE_SIZE,
  decodePageToken,
  encodePageToken,
  type Page,
  type PageRequest,
} from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import type { Outbox } from '@messaging/service_kit/redis/outbox';
import type { Pending, StoredUser, UserStore } from '../store/user-store.js';
import type { Limits } from './limits.js';
import type { Passwords } from './passwords.js';
import type { Departure } from './departure.js';
import type { Existence, NewUser, PendingSubscription, User, UserChanges, UserRecord } from './user.js';

const LIST = ['users'];
const LIST_ALL_BATCH = 1_000;
const MAX_RETRY_DELAY_MS = 20;

/** How long a sign-up waits for its subscription, which follows in any case. */
const SUBSCRIBE_WAIT_MS = 500;

/** How long a changed email or a deletion waits for what follows from it, which it does in any case. */
const DEPARTURE_WAIT_MS = 500;

/** The accounts: signing up, changing, leaving, and proving who one is. */
export class Users {
  constructor(
    private readonly store: UserStore,
    private readonly passwords: Passwords,
    private readonly subscriptions: Outbox<PendingSubscription>,
    private readonly departures: Outbox<Departure>,
    private readonly limits: Limits,
  ) {}

  /**
   * Creates an account and subscribes it to notifications.
   *
   * @throws {ServiceError} `conflict` when the email is taken; `invalid` when the password is too short; `tooMany` when too many
   *   were made from the same address.
   */
  async createUser({ email, password, name }: NewUser, context: RequestContext): Promise<User> {
    this.passwords.checkLength(password);
    // Counts those for an email that is taken, too: else whoever wants to know who has an account may ask without end.
    await this.limits.signUp(context);
    // Spares the hash for an email that is plainly taken; only createUser below decides.
    if (await this.store.userExists(email)) throw emailTaken();
    const record = { name, email, password: await this.passwords.hash(password) };
    const pending = await this.store.createUser(record, context);
    if (!pending) throw emailTaken();
    // In the healthy case the user is subscribed by now, so that unsubscribing at once is not overtaken.
    const { id, entry } = pending;
    await this.subscriptions.deliverWithin(SUBSCRIBE_WAIT_MS, id, entry, context.requestId);
    return toUser(record);
  }

  /** @throws {ServiceError} `notFound`. */
  async getUser(email: string): Promise<User> {
    return toUser((await this.#getRecord(email)).record);
  }

  async userExists(email: string): Promise<boolean> {
    return this.store.userExists(email);
  }

  /** Tells of each email whether an account has it, in the same order. */
  async usersExist(emails: string[]): Promise<Existence[]> {
    return this.store.usersExist(emails);
  }

  /**
   * Merges `changes` into an account; everything else about it stays. A new password or email ends all of its sessions. With a
   * new email, all that the other services have of the user follows: in the healthy case by the time this resolves.
   *
   * @throws {ServiceError} `notFound`; `invalid` when the password is too short; `conflict` when the new email is another account's; `unavailable` when others
   *   kept changing the account until the deadline.
   */
  async updateUser(email: string, changes: UserChanges, context: RequestContext): Promise<User> {
    await this.#getRecord(email);
    const { password, ...plain } = changes;
    if (password !== undefined) this.passwords.checkLength(password);
    const changed =
      password === undefined ? plain : { ...plain, password: await this.passwords.hash(password) };

    while (Date.now() < context.deadline) {
      const { record, version } = await this.#getRecord(email);
      const next = { ...record, ...changed };
      const endsSessions = next.password !== record.password || next.email !== email;
      const { outcome, departure } = await this.store.replaceUser(email, version, next, {
        endsSessions,
        requestId: context.requestId,
      });
      if (outcome === 'replaced') {
        await this.#followUp(departure, context);
        return toUser(next);
      }
      if (outcome === 'taken') throw emailTaken();
      // Others have changed it in between. Waiting at random lets one of those who try again get through.
      await sleep(Math.random() * MAX_RETRY_DELAY_MS);
    }
    throw new ServiceError(
      'unavailable',
      'This account is being changed by many others at once; try again shortly',
    );
  }

  /**
   * Deletes an account, and ends its sessions. All that the other services have of the user goes as well: in the healthy case by
   * the time this resolves.
   *
   * @throws {ServiceError} `notFound`.
   */
  async deleteUser(email: string, context: RequestContext): Promise<void> {
    const departure = await this.store.deleteUser(email, context);
    if (!departure) throw noSuchUser();
    await this.#followUp(departure, context);
  }

  async #followUp(departure: Pending<Departure> | undefined, { requestId }: RequestContext): Promise<void> {
    if (!departure) return;
    await this.departures.deliverWithin(DEPARTURE_WAIT_MS, departure.id, departure.entry, requestId);
  }

  /**
   * Finds the account that these credentials open, if they open any. Takes the same time whether or not the account
   * exists. A password that was hashed at a lower cost than today's is hashed anew.
   *
   * @throws {ServiceError} `tooMany` where too many attempts have failed.
   */
  async authenticate(email: string, password: string, context: RequestContext): Promise<User | undefined> {
    return (await this.authenticateVersion(email, password, context))?.user;
  }

  /** The same, with what tells whether the account has changed since. */
  async authenticateVersion(
    email: string,
    password: string,
    context: RequestContext,
  ): Promise<{ user: User; version: string } | undefined> {
    return this.limits.logIn(email, context, async () => this.#open(email, password));
  }

  async #open(email: string, password: string): Promise<{ user: User; version: string } | undefined> {
    const found = await this.store.findUser(email);
    const isMatch = await this.passwords.matches(password, found?.record.password);
    if (!found || !isMatch) return undefined;
    const isOutdated = this.passwords.isOutdated(found.record.password);
    const version = isOutdated ? await this.#hashAnew(email, found, password) : found.version;
    return { user: toUser(found.record), version };
  }

  /**
   * Does so unless the account has changed in between, or there is too much to do: then with the next log-in.
   *
   * @returns the version that the account has then
   */
  async #hashAnew(email: string, { record, version }: StoredUser, password: string): Promise<string> {
    try {
      const next = { ...record, password: await this.passwords.hash(password) };
      const { outcome, version: nextVersion } = await this.store.replaceUser(email, version, next);
      return outcome === 'replaced' ? nextVersion : version;
    } catch (error) {
      if (!isTransient(toServiceError(error))) throw error;
      return version;
    }
  }

  /** Lists every account in the order of their emails, reading them in batches. */
  async listAllUsers(): Promise<User[]> {
    const users: User[] = [];
    let after: string | undefined;
    do {
      const batch = await this.store.listUsers(LIST_ALL_BATCH, after);
      users.push(...batch.records.map(toUser));
      after = batch.nextAfter;
    } while (after !== undefined);
    return users;
  }

  /** Lists one page of the accounts, in the order of their emails. @throws {ServiceError} `invalid` for a bad token. */
  async listUsers(page: PageRequest): Promise<Page<User>> {
    const { records, nextAfter } = await this.store.listUsers(
      page.size ?? DEFAULT_PAGE_SIZE,
      decodePageToken(LIST, page.token),
    );
    return {
      items: records.map(toUser),
      nextPageToken: nextAfter === undefined ? '' : encodePageToken(LIST, nextAfter),
    };
  }

  async #getRecord(email: string) {
    const found = await this.store.findUser(email);
    if (!found) throw noSuchUser();
    return found;
  }
}

function toUser({ email, name }: UserRecord): User {
  return { email, name };
}

function noSuchUser(): ServiceError {
  return new ServiceError('notFound', 'There is no user with this email');
}

function emailTaken(): ServiceError {
  return new ServiceError('conflict', 'This email is already registered');
}
