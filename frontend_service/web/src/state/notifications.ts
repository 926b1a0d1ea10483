import { batch, computed, signal } from '@preact/signals';
import { listNotifications, markNotificationsRead, type NotificationSelection } from '../api/routes.js';
import type { InboxNotification } from '../api/schemas.js';
import { compareIds } from '../lib/ids.js';
import { Pager } from './pager.js';

/** So many ids the server takes at once. */
const MAX_IDS = 500;

/** What the bell shows. */
export class NotificationList {
  readonly #byId = signal<ReadonlyMap<string, InboxNotification>>(new Map());
  /** Read here: nothing becomes unread again, whatever an earlier answer says. */
  readonly #readIds = new Set<string>();
  #marksUnderWay = 0;

  readonly pager = new Pager({
    fetchPage: listNotifications,
    store: (pages: Awaited<ReturnType<typeof listNotifications>>[]) => {
      this.#merge(pages.flatMap(({ notifications }) => notifications));
      // A count from before a mark that is under way is too high; another follows that mark.
      if (this.#marksUnderWay === 0) this.unread.value = pages.at(-1)?.unread ?? 0;
    },
    reachesKnown: ({ notifications }) => notifications.some(({ id }) => this.#byId.value.has(id)),
  });
  /** How many are unread, of all there are. */
  readonly unread = signal(0);
  readonly items = computed(() =>
    [...this.#byId.value.values()].toSorted((one, other) => compareIds(other.id, one.id)),
  );

  refresh = this.pager.loader.refresh;

  /** The unread ones of `email` among those that are loaded, as many as can be marked at once. */
  unreadFrom(email: string): string[] {
    return this.items.value
      .filter(({ sender_email, read }) => sender_email === email && !read)
      .map(({ id }) => id)
      .slice(0, MAX_IDS);
  }

  /** @throws {ApiError} */
  async markRead(ids: string[]): Promise<void> {
    await this.#mark(ids, this.unread.peek() - ids.length, { ids });
  }

  /** Marks all up to the newest that is shown; what comes meanwhile stays unread. @throws {ApiError} */
  async markAllRead(): Promise<void> {
    const ids = this.items.peek().map(({ id }) => id);
    const [newest] = ids;
    if (newest !== undefined) await this.#mark(ids, 0, { up_to_id: newest });
  }

  async #mark(ids: string[], unread: number, selection: NotificationSelection): Promise<void> {
    for (const id of ids) this.#readIds.add(id);
    batch(() => {
      this.unread.value = Math.max(0, unread);
      this.#merge(this.items.peek());
    });
    this.#marksUnderWay++;
    try {
      await this.pager.loader.exclusively(() => markNotificationsRead(selection));
      void this.refresh();
    } catch (error) {
      for (const id of ids) this.#readIds.delete(id);
      throw error;
    } finally {
      this.#marksUnderWay--;
    }
  }

  #merge(notifications: InboxNotification[]): void {
    const byId = new Map(this.#byId.peek());
    for (const notification of notifications) {
      const read = notification.read || this.#readIds.has(notification.id);
      byId.set(notification.id, { ...notification, read });
    }
    this.#byId.value = byId;
  }
}
