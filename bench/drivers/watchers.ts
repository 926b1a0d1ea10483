/** Someone who watches a user's notifications, from outside. */
export class Watcher {
  /** Whether what comes from now on reaches it. */
  isServed = false;
  /** Why its watch has ended, where it has. */
  failure: string | undefined;
  /** Whom each notification that it got is for, and when it came, by `performance.now()`. */
  readonly arrivals: { receiver: string; at: number }[] = [];

  constructor(readonly email: string) {}

  take(receiver: string): void {
    this.arrivals.push({ receiver, at: performance.now() });
  }
}

/** Watchers at one door. */
export interface Watchers {
  /** Begins a watch; the watcher tells when it is served. */
  add(email: string): Promise<Watcher>;
  /** Ends all watches. */
  close(): void;
}
