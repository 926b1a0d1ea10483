import { signal } from '@preact/signals';
import { ApiError, onSessionEnd } from '../api/request.js';
import { createSession, createUser, deleteSession, getSession } from '../api/routes.js';
import type { User } from '../api/schemas.js';
import { Inbox } from './inbox.js';
import { isVisible } from './environment.js';
import { Loader } from './loader.js';
import { forgetRoute } from './route.js';
import { Tabs } from './tabs.js';

export type SessionState =
  { status: 'unknown' } | { status: 'signedOut'; hasEnded: boolean } | { status: 'signedIn'; inbox: Inbox };

/** Who is signed in. */
export const session = signal<SessionState>({ status: 'unknown' });

/** Stays when a session ends by itself: whoever signs in again finds what they wrote. */
let lastInbox: Inbox | undefined;
let tabs: Tabs | undefined;

const loader = new Loader(async () => {
  try {
    enter(await getSession());
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    leave();
  }
});

/** Whether it could be asked who is signed in. */
export const sessionStatus = loader.status;

/** Asks the server who is signed in. */
export const checkSession = loader.refresh;

/** The same because somebody asks for it. */
export const retrySession = loader.retry;

/** Begins to follow who is signed in. */
export function watchSession(): void {
  onSessionEnd(leave);
  // Tabs share the cookie: what one does with it concerns all.
  tabs = new Tabs('session', () => void checkSession());
  void checkSession();
  isVisible.subscribe((visible) => {
    if (visible) void checkSession();
  });
}

/** @throws {ApiError} 401 where email or password are wrong */
export async function signIn(credentials: { email: string; password: string }): Promise<void> {
  enter(await loader.exclusively(() => createSession(credentials)));
  tabs?.tell({ changed: 'session', email: credentials.email });
}

/** Creates an account, and signs in. @throws {ApiError} 400 says what is wrong */
export async function signUp(account: { email: string; password: string; name: string }): Promise<void> {
  await createUser(account);
  await signIn(account);
}

/** @throws {ApiError} when the server cannot be told: the session then goes on */
export async function signOut(): Promise<void> {
  await loader.exclusively(deleteSession);
  lastInbox?.signOut();
  lastInbox = undefined;
  forgetRoute();
  session.value = { status: 'signedOut', hasEnded: false };
  tabs?.tell({ changed: 'session', email: '' });
}

function enter(user: User): void {
  const isSameUser = lastInbox?.user.email === user.email;
  const current = session.peek();
  if (current.status === 'signedIn' && isSameUser && current.inbox.liveState.peek() !== 'ended') return;
  if (!lastInbox || !isSameUser) {
    if (lastInbox) {
      lastInbox.stop();
      forgetRoute();
    }
    lastInbox = new Inbox(user, () => void checkSession());
  }
  lastInbox.start();
  session.value = { status: 'signedIn', inbox: lastInbox };
}

function leave(): void {
  if (session.peek().status === 'signedOut') return;
  lastInbox?.stop();
  session.value = { status: 'signedOut', hasEnded: session.peek().status === 'signedIn' };
}
