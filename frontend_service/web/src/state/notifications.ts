import { batch, computed, signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { listNotifications, markNotificationsRead } from '../api/routes.js';
import type { InboxNotification } from '../api/schemas.js';
import { compareIds } from '../lib/ids.js';
import { Loader } from './loader.js';

/** So many ids the server takes at once. */
const MAX_IDS = 500;

/** What the bell shows. */
export class NotificationList {
  readonly #byId = signal<ReadonlyMap<string, InboxNotification>>(new Map());
  readonly #nextPageToken = signal('');
  /** Read here: nothing becomes unread again, whatever an earlier answer says. */
  readonly #readIds = new Set<string>();
  #marksUnderWay = 0;
  readonly #loader = new Loader(() => this.#load());

  readonly status = this.#loader.status;
  readonly isLoadingMore = signal(false);
  /** How many are unread, of all there are. */
  readonly unread = signal(0);
  readonly items = computed(() =>
    [...this.#byId.value.values()].toSorted((one, other) => compareIds(other.id, one.id)),
  );
  readonly hasMore = computed(() => this.#nextPageToken.value !== '');

  refresh = this.#loader.refresh;
  retry = this.#loader.retry;
  stop = () => this.#loader.stop();

  /** The unread ones of `email` among those that are loaded. */
  unreadFrom(email: string): string[] {
    return this.items.value
      .filter(({ sender_email, read }) => sender_email === email && !read)
      .map(({ id }) => id)
      .slice(0, MAX_IDS);
  }

  loadMore = async (): Promise<void> => {
    if (this.isLoadingMore.value) return;
    this.isLoadingMore.value = true;
    try {
      await this.#loader.exclusively(async () => {
        const page = await listNotifications(this.#nextPageToken.value);
        this.#merge(page.notifications);
        this.#nextPageToken.value = page.next_page_token;
      });
    } catch (error) {
      // The button stays, to try again.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      this.isLoadingMore.value = false;
    }
  };

  /** @throws {ApiError} */
  async markRead(ids: string[]): Promise<void> {
    await this.#mark(ids, this.unread.value - ids.length, { ids });
  }

  /** Marks all up to the newest that is shown; what comes meanwhile stays unread. @throws {ApiError} */
  async markAllRead(): Promise<void> {
    const ids = this.items.value.map(({ id }) => id);
    const [newest] = ids;
    if (newest !== undefined) await this.#mark(ids, 0, { up_to_id: newest });
  }

  async #mark(
    ids: string[],
    unread: number,
    which: Parameters<typeof markNotificationsRead>[0],
  ): Promise<void> {
    for (const id of ids) this.#readIds.add(id);
    batch(() => {
      this.unread.value = Math.max(0, unread);
      this.#merge(this.items.value);
    });
    this.#marksUnderWay++;
    try {
      await this.#loader.exclusively(() => markNotificationsRead(which));
    } catch (error) {
      for (const id of ids) this.#readIds.delete(id);
      throw error;
    } finally {
      this.#marksUnderWay--;
      void this.refresh();
    }
  }

  async #load(): Promise<void> {
    const isFirstLoad = this.status.value !== 'ready';
    const fetched: InboxNotification[] = [];
    let token = '';
    let page: Awaited<ReturnType<typeof listNotifications>>;
    let isUpToDate: boolean;
    do {
      page = await listNotifications(token);
      fetched.push(...page.notifications);
      token = page.next_page_token;
      isUpToDate = isFirstLoad || page.notifications.some(({ id }) => this.#byId.value.has(id));
    } while (!isUpToDate && token !== '');
    batch(() => {
      this.#merge(fetched);
      // A count from before a mark that is under way is too high; another follows that mark.
      if (this.#marksUnderWay === 0) this.unread.value = page.unread;
      if (isFirstLoad || token === '') this.#nextPageToken.value = token;
    });
  }

  #merge(notifications: InboxNotification[]): void {
    const byId = new Map(this.#byId.value);
    for (const notification of notifications) {
      const read = notification.read || this.#readIds.has(notification.id);
      byId.set(notification.id, { ...notification, read });
    }
    this.#byId.value = byId;
  }
}
