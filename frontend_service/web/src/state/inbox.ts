import { batch, computed, effect, signal, untracked } from '@preact/signals';
import { api } from '../api/client.js';
import type { Conversation, Notification, User } from '../api/types.js';
import { translate } from '../i18n/index.js';
import { type Feed, openFeed } from '../live/feed.js';
import type { FeedEvent } from '../live/feed-event.js';
import { serialize } from '../serialize.js';
import { notifyDesktop } from './desktop-notifications.js';
import { type LoadState, noteFailure } from './loading.js';
import { openConversation, openEmail } from './route.js';
import { endSession } from './session.js';
import { Thread } from './thread.js';

/** How often to look for what is new where nothing tells. */
const POLL_MS = 20_000;
/** A lost connection that comes back at once need not worry anybody. */
const BANNER_AFTER_MS = 1_000;

/** A list that is read a page at a time, and anew whenever something happens. */
class PagedList<Item> {
  readonly items = signal<readonly Item[]>([]);
  readonly state = signal<LoadState>('loading');
  /** How far what follows has come; undefined at the list's end. */
  readonly more = signal<LoadState | undefined>(undefined);
  #moreToken = '';

  constructor(
    private readonly read: (token: string) => Promise<{ items: Item[]; next_page_token: string }>,
    private readonly keyOf: (item: Item) => string | undefined,
  ) {}

  /** Reads the first page anew; what follows it stays. */
  readonly refresh = serialize(async () => {
    if (this.state.value === 'failed') this.state.value = 'loading';
    try {
      const { items, next_page_token } = await this.read('');
      const keys = new Set(items.map((item) => this.keyOf(item)));
      const following = this.items.value.filter((item) => !keys.has(this.keyOf(item)));
      if (this.state.value !== 'ready') this.#setMore(next_page_token);
      this.items.value = next_page_token === '' ? items : [...items, ...following];
      this.state.value = 'ready';
    } catch (error) {
      noteFailure(error);
      if (this.state.value === 'loading') this.state.value = 'failed';
    }
  });

  /** Reads the next page. */
  readonly loadMore = serialize(async () => {
    if (this.#moreToken === '') return;
    this.more.value = 'loading';
    try {
      const { items, next_page_token } = await this.read(this.#moreToken);
      const known = new Set(this.items.value.map((item) => this.keyOf(item)));
      this.items.value = [...this.items.value, ...items.filter((item) => !known.has(this.keyOf(item)))];
      this.#setMore(next_page_token);
    } catch (error) {
      noteFailure(error);
      this.more.value = 'failed';
    }
  });

  #setMore(token: string): void {
    this.#moreToken = token;
    this.more.value = token === '' ? undefined : 'ready';
  }
}

/** What was written outlives a session that ended before it was sent; not one that was ended by signing out. */
const threadsByUser = new Map<string, Map<string, Thread>>();

function threadsOf(email: string): Map<string, Thread> {
  const threads = threadsByUser.get(email) ?? new Map<string, Thread>();
  threadsByUser.set(email, threads);
  return threads;
}

/** All that the signed-in user sees and does. */
export class Inbox {
  readonly unreadNotifications = signal(0);
  readonly conversations = new PagedList<Conversation>(
    async (token) => {
      const { conversations, next_page_token } = await api.listConversations(token);
      return { items: conversations, next_page_token };
    },
    ({ email }) => email,
  );
  readonly notifications = new PagedList<Notification>(
    async (token) => {
      const { notifications, unread, next_page_token } = await api.listNotifications(token);
      this.unreadNotifications.value = unread;
      return { items: notifications, next_page_token };
    },
    ({ id }) => id,
  );
  /** Whether the user wants notifications; undefined where that is not known yet. */
  readonly isSubscribed = signal<boolean | undefined>(undefined);
  readonly unreadMessages = computed(() =>
    this.conversations.items.value.reduce((sum, { unread }) => sum + unread, 0),
  );
  /** Whether what happens is not shown at once. */
  readonly isOffline = signal(false);
  readonly thread = computed(() =>
    openEmail.value === undefined ? undefined : this.#threadWith(openEmail.value),
  );
  readonly #threads: Map<string, Thread>;
  readonly #isLive = signal(false);
  readonly #isOnline = signal(navigator.onLine);
  readonly #isVisible = signal(!document.hidden);
  readonly #feed: Feed;
  readonly #over = new AbortController();
  readonly #disposals: (() => void)[] = [];

  constructor(readonly user: User) {
    this.#threads = threadsOf(user.email);
    for (const thread of this.#threads.values()) this.#adopt(thread);
    this.#feed = openFeed(user.email, (event) => this.#receive(event));
    const { signal: over } = this.#over;
    addEventListener('online', () => (this.#isOnline.value = true), { signal: over });
    addEventListener('offline', () => (this.#isOnline.value = false), { signal: over });
    addEventListener('beforeunload', (event) => this.#hasUnsent && event.preventDefault(), { signal: over });
    document.addEventListener('visibilitychange', () => (this.#isVisible.value = !document.hidden), {
      signal: over,
    });
    this.#disposals.push(
      effect(() => this.#delayBanner()),
      effect(() => this.#markWhatIsSeen()),
      effect(() => this.#poll()),
      effect(() => {
        if (this.#isVisible.value) untracked(() => this.refresh());
      }),
      effect(() => {
        const thread = this.thread.value;
        untracked(() => void thread?.refresh());
      }),
    );
    void this.#loadSubscription();
  }

  /** Lets go of everything. */
  close(): void {
    this.#over.abort();
    for (const thread of this.#threads.values()) thread.pause();
    for (const dispose of this.#disposals) dispose();
    this.#feed.close();
  }

  /** Signs out, in this browser's other tabs as well. @throws {ApiError} */
  async signOut(): Promise<void> {
    await api.signOut();
    threadsByUser.delete(this.user.email);
    this.#feed.tell({ type: 'ended' });
    endSession();
  }

  /** Reads all anew that is shown. */
  refresh(): void {
    void this.conversations.refresh();
    void this.notifications.refresh();
    void this.thread.peek()?.refresh();
  }

  /** Notes that the user has seen all notifications. */
  async markAllNotificationsRead(): Promise<void> {
    const newest = this.notifications.items.value.find(({ id }) => id !== undefined);
    if (newest?.id === undefined) return;
    await this.#markNotificationsRead({ up_to_id: newest.id });
  }

  /** Switches notifications on or off. */
  async setSubscribed(subscribed: boolean): Promise<void> {
    const before = this.isSubscribed.value;
    this.isSubscribed.value = subscribed;
    try {
      this.isSubscribed.value = await api.setSubscribed(subscribed);
    } catch (error) {
      this.isSubscribed.value = before;
      noteFailure(error);
    }
  }

  get #hasUnsent(): boolean {
    return [...this.#threads.values()].some(({ hasUnsent }) => hasUnsent);
  }

  #threadWith(email: string): Thread {
    let thread = this.#threads.get(email);
    if (!thread) {
      thread = new Thread(email);
      this.#threads.set(email, thread);
      this.#adopt(thread);
    }
    return thread;
  }

  #adopt(thread: Thread): void {
    thread.onSent = () => {
      this.#feed.tell({ type: 'changed', email: thread.email });
      void this.conversations.refresh();
    };
    thread.resume();
  }

  #receive(event: FeedEvent): void {
    switch (event.type) {
      case 'live':
        this.#isLive.value = true;
        this.refresh();
        break;
      case 'interrupted':
        this.#isLive.value = false;
        break;
      case 'reset':
        this.refresh();
        break;
      case 'ended':
        endSession('expired');
        break;
      case 'changed':
        void this.conversations.refresh();
        if (openEmail.value === event.email) void this.thread.value?.refresh();
        break;
      case 'notification':
        this.#receiveNotification(event.notification);
    }
  }

  #receiveNotification(notification: Notification): void {
    const { sender_email, id } = notification;
    void this.conversations.refresh();
    void this.notifications.refresh();
    if (openEmail.value === sender_email) void this.thread.value?.refresh();
    if (document.hidden) {
      notifyDesktop(translate('wroteToYou', sender_email), id, () => openConversation(sender_email));
    }
  }

  /** What is open before the user's eyes is read. */
  #markWhatIsSeen(): void {
    const thread = this.thread.value;
    if (!thread || !this.#isVisible.value || thread.state.value !== 'ready') return;
    const { email } = thread;
    const isUnread = this.conversations.items.value.some(
      (conversation) => conversation.email === email && conversation.unread > 0,
    );
    if (isUnread) void this.#markConversationRead(email);
    const ids = this.notifications.items.value.flatMap(({ id, read, sender_email }) =>
      id !== undefined && !read && sender_email === email ? [id] : [],
    );
    if (ids.length > 0) void this.#markNotificationsRead({ ids });
  }

  async #markConversationRead(email: string): Promise<void> {
    // At once: what is marked twice costs a request, what flickers is seen.
    this.conversations.items.value = this.conversations.items.value.map((conversation) =>
      conversation.email === email ? { ...conversation, unread: 0 } : conversation,
    );
    try {
      await api.markConversationRead(email);
      this.#feed.tell({ type: 'changed', email });
    } catch (error) {
      noteFailure(error);
    }
  }

  async #markNotificationsRead(seen: { ids: string[] } | { up_to_id: string }): Promise<void> {
    const isSeen = ({ id = '' }: Notification) =>
      'ids' in seen ? seen.ids.includes(id) : Number(id) <= Number(seen.up_to_id);
    batch(() => {
      const marked = this.notifications.items.value.filter((item) => !item.read && isSeen(item)).length;
      this.unreadNotifications.value = Math.max(0, this.unreadNotifications.value - marked);
      this.notifications.items.value = this.notifications.items.value.map((item) =>
        isSeen(item) ? { ...item, read: true } : item,
      );
    });
    try {
      await api.markNotificationsRead(seen);
      await this.notifications.refresh();
    } catch (error) {
      noteFailure(error);
    }
  }

  async #loadSubscription(): Promise<void> {
    try {
      this.isSubscribed.value = await api.isSubscribed();
    } catch (error) {
      noteFailure(error);
    }
  }

  #delayBanner(): (() => void) | undefined {
    if (this.#isLive.value && this.#isOnline.value) {
      this.isOffline.value = false;
      return undefined;
    }
    const timer = setTimeout(() => (this.isOffline.value = true), BANNER_AFTER_MS);
    return () => clearTimeout(timer);
  }

  /** Without notifications, nothing tells that there are messages. */
  #poll(): (() => void) | undefined {
    if (this.isSubscribed.value !== false || !this.#isVisible.value) return undefined;
    const timer = setInterval(() => this.refresh(), POLL_MS);
    return () => clearInterval(timer);
  }
}
