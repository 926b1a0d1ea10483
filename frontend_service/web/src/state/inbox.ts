import { computed, effect, signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { liveNotificationSchema, type User } from '../api/schemas.js';
import { t } from '../i18n/index.js';
import { connectLive, type LiveConnection } from '../live/connect.js';
import type { StreamState } from '../live/event-stream.js';
import { ConversationList } from './conversations.js';
import { showDesktopNotification } from './desktop-notifications.js';
import { isOnline, isVisible } from './environment.js';
import { NotificationList } from './notifications.js';
import { openEmail } from './route.js';
import { Subscription } from './subscription.js';
import { Tabs } from './tabs.js';
import { Thread } from './thread.js';

/** How often to look for news where no events tell. */
const POLL_MS = 20_000;

/** All that the page knows of one user, and what keeps it up to date. */
export class Inbox {
  readonly conversations = new ConversationList();
  readonly notifications = new NotificationList();
  readonly subscription = new Subscription();
  readonly liveState = signal<StreamState>('connecting');
  /** Whether news arrive by themselves. */
  readonly isConnected = computed(() => isOnline.value && this.liveState.value === 'live');

  readonly #threads = signal<ReadonlyMap<string, Thread>>(new Map());
  /** How many messages are not acknowledged. */
  readonly unsent = computed(() =>
    [...this.#threads.value.values()].reduce((sum, { outbox }) => sum + outbox.messages.value.length, 0),
  );

  #live: LiveConnection | undefined;
  #tabs: Tabs | undefined;
  #endings: (() => void)[] = [];

  /** @param onStreamEnd called when the server, or another tab, has ended the events */
  constructor(
    readonly user: User,
    private readonly onStreamEnd: () => void,
  ) {}

  /** The conversation with `email`, whether there is one yet or not. */
  thread(email: string): Thread {
    const known = this.#threads.peek().get(email);
    if (known) return known;
    const thread = new Thread(this.user.email, email, () => this.#changed(email));
    this.#threads.value = new Map(this.#threads.peek()).set(email, thread);
    return thread;
  }

  /** Begins, or begins again after `stop`. */
  start(): void {
    this.stop();
    this.liveState.value = 'connecting';
    this.#tabs = new Tabs(`inbox of ${this.user.email}`, ({ email }) => {
      void this.conversations.refresh();
      void this.notifications.refresh();
      void this.#threads.peek().get(email)?.refresh();
    });
    this.#live = connectLive(this.user.email, {
      onState: (state) => this.#enter(state),
      onNotification: (data) => this.#receive(data),
      onReset: () => this.#refresh(),
    });
    void this.subscription.refresh();
    this.#endings = [
      effect(() => {
        // Looking at the page, again or at another conversation, is reason enough to ask for news.
        if (isVisible.value && openEmail.value) void this.thread(openEmail.value).refresh();
      }),
      effect(() => {
        if (isVisible.value) this.#refreshLists();
      }),
      effect(() => this.#poll()),
      effect(() => this.#markOpenRead()),
      effect(() => {
        if (isOnline.value) for (const { outbox } of this.#threads.peek().values()) outbox.resume();
      }),
      effect(() => {
        document.title = t.title(this.conversations.unread.value);
      }),
      effect(() => this.#warnOfUnsent()),
    ];
  }

  /** Asks the server for nothing more. What is here stays, for the same user to come back to. */
  stop(): void {
    for (const end of this.#endings.splice(0)) end();
    this.#live?.close();
    this.#tabs?.close();
    this.conversations.pager.loader.stop();
    this.notifications.pager.loader.stop();
    this.subscription.stop();
    for (const thread of this.#threads.peek().values()) thread.stop();
    document.title = t.title(0);
  }

  /** Ends the events of this user in all tabs of this browser. */
  signOut(): void {
    this.#live?.signOut();
    this.stop();
  }

  #enter(state: StreamState): void {
    const before = this.liveState.peek();
    this.liveState.value = state;
    if (state === 'ended') this.onStreamEnd();
    // Events tell only of what comes after they began.
    else if (state === 'live' && before !== 'live') this.#refresh();
  }

  #receive(data: string): void {
    const notification = liveNotificationSchema.parse(JSON.parse(data));
    void this.conversations.refresh();
    void this.notifications.refresh();
    if (notification.sender_email === openEmail.peek()) void this.thread(notification.sender_email).refresh();
    void showDesktopNotification(notification);
  }

  /** What the user did here shows in their other tabs. */
  #changed(email: string): void {
    void this.conversations.refresh();
    this.#tabs?.tell({ changed: 'conversation', email });
  }

  #refresh(): void {
    this.#refreshLists();
    if (openEmail.peek()) void this.thread(openEmail.peek()).refresh();
  }

  #refreshLists(): void {
    void this.conversations.refresh();
    void this.notifications.refresh();
  }

  #poll(): (() => void) | undefined {
    if (this.subscription.isOn.value || !isVisible.value) return undefined;
    const timer = setInterval(() => this.#refresh(), POLL_MS);
    return () => clearInterval(timer);
  }

  #markOpenRead(): void {
    const email = openEmail.value;
    if (!email || !isVisible.value || this.thread(email).pager.loader.status.value !== 'ready') return;
    const ids = this.notifications.unreadFrom(email);
    const isUnread = (this.conversations.find(email)?.unread ?? 0) > 0;
    const marks: Promise<void>[] = [];
    if (isUnread) marks.push(this.conversations.markRead(email));
    if (ids.length > 0) marks.push(this.notifications.markRead(ids));
    if (marks.length > 0) void this.#finishMarking(email, marks);
  }

  async #finishMarking(email: string, marks: Promise<void>[]): Promise<void> {
    try {
      await Promise.all(marks);
      this.#tabs?.tell({ changed: 'conversation', email });
    } catch (error) {
      // The next refresh brings back what is still unread, and with it the next attempt.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  #warnOfUnsent(): (() => void) | undefined {
    if (this.unsent.value === 0) return undefined;
    addEventListener('beforeunload', preventDefault);
    return () => removeEventListener('beforeunload', preventDefault);
  }
}

function preventDefault(event: Event): void {
  event.preventDefault();
}
