import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Inbox } from '../state/inbox.js';

export const InboxContext = createContext<Inbox | undefined>(undefined);

/** The inbox of whoever is signed in. */
export function useInbox(): Inbox {
  const inbox = useContext(InboxContext);
  if (!inbox) throw new Error('There is an inbox only where somebody is signed in');
  return inbox;
}
