import { signal } from '@preact/signals';

/** Whose conversation is open, as the address bar says; empty for none. */
export const openEmail = signal(readHash());

/** Whether the entry before this one in the browser's history is the list. */
let isListBehind = false;

/** Emails as the server keeps them. */
export function normalizeEmail(email: string): string {
  return email.trim().toLowerCase();
}

/** Begins to follow the address bar. */
export function watchRoute(): void {
  addEventListener('hashchange', () => {
    const email = readHash();
    isListBehind = openEmail.value === '' && email !== '';
    openEmail.value = email;
  });
}

/** The address of a conversation, for links. */
export const conversationHref = (email: string) => `#/${encodeURIComponent(email)}`;

export function openConversation(email: string): void {
  location.hash = conversationHref(email);
}

/** Back to the list: the way that was come, where there was one, so that the history does not grow in circles. */
export function closeConversation(): void {
  if (isListBehind) history.back();
  else location.hash = '';
}

/** Forgets the open conversation, also for the address bar: the next user has nothing to do with it. */
export function forgetRoute(): void {
  history.replaceState(null, '', location.pathname);
  openEmail.value = '';
}

function readHash(): string {
  const text = location.hash.replace(/^#\/?/u, '');
  try {
    return normalizeEmail(decodeURIComponent(text));
  } catch (error) {
    // Somebody typed a stray %.
    if (error instanceof URIError) return '';
    throw error;
  }
}
