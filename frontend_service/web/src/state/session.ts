import { signal } from '@preact/signals';
import { api, ApiError } from '../api/client.js';
import type { User } from '../api/types.js';

/** Whether somebody is signed in, and who. */
export type Session =
  | { state: 'unknown' }
  /** The server did not say. */
  | { state: 'failed' }
  | { state: 'signedOut'; reason?: 'expired' }
  | { state: 'signedIn'; user: User };

export const session = signal<Session>({ state: 'unknown' });

/** All tabs share one session: one that finds another user's must not go on in the name of the first. */
const signIns = new BroadcastChannel('sign-ins');
signIns.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
  const { value } = session;
  if (value.state !== 'unknown' && !(value.state === 'signedIn' && value.user.email === data))
    location.reload();
});

/** Finds out who is signed in. */
export async function loadSession(): Promise<void> {
  session.value = { state: 'unknown' };
  try {
    session.value = { state: 'signedIn', user: await api.getSession() };
  } catch (error) {
    const isSignedOut = error instanceof ApiError && error.status === 401;
    session.value = { state: isSignedOut ? 'signedOut' : 'failed' };
  }
}

/** @throws {ApiError} */
export async function signIn(email: string, password: string): Promise<void> {
  const user = await api.signIn(email, password);
  signIns.postMessage(user.email);
  session.value = { state: 'signedIn', user };
}

/** Creates an account, and signs in. @throws {ApiError} */
export async function signUp(email: string, password: string, name: string): Promise<void> {
  await api.signUp(email, password, name);
  await signIn(email, password);
}

/** Ends the session here; the server has ended it, or has been told to. */
export function endSession(reason?: 'expired'): void {
  if (session.value.state !== 'signedIn') return;
  session.value = reason === undefined ? { state: 'signedOut' } : { state: 'signedOut', reason };
}
