import { signal } from '@preact/signals';

/** With whom the open conversation is; undefined where none is open. It is in the address, for the way back and for links. */
export const openEmail = signal(readHash());

addEventListener('hashchange', () => (openEmail.value = readHash()));

function readHash(): string | undefined {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim().toLowerCase() || undefined;
  } catch {
    return undefined;
  }
}

/** The address of a conversation. */
export function hrefOf(email: string): string {
  return `#${encodeURIComponent(email)}`;
}

/** Opens a conversation. */
export function openConversation(email: string): void {
  location.hash = hrefOf(email);
}

/** Goes back to the list. */
export function closeConversation(): void {
  history.pushState(undefined, '', location.pathname);
  openEmail.value = undefined;
}
