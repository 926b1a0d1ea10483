import { effect, signal } from '@preact/signals';
import type { LiveNotification } from '../api/schemas.js';
import { t } from '../i18n/index.js';
import { isVisible } from './environment.js';
import { openConversation } from './route.js';

const isSupported = typeof Notification !== 'undefined';
/** Held by each tab that somebody looks at: a lock goes with its tab, however that ends. */
const LOOKED_AT = 'inbox is looked at';

/** Whether the user may still be asked whether they want desktop notifications. */
export const canAskForDesktopNotifications = signal(isSupported && Notification.permission === 'default');

/** Begins to tell other tabs when this one is looked at. */
export function watchLooks(): void {
  // Where there are no locks, pages may not notify either.
  if (!('locks' in navigator)) return;
  effect(() => {
    if (!isVisible.value) return undefined;
    let lookAway: (() => void) | undefined;
    const looked = new Promise<void>((resolve) => (lookAway = resolve));
    void navigator.locks.request(LOOKED_AT, { mode: 'shared' }, () => looked);
    return () => lookAway?.();
  });
}

/** Asks the user; the browser wants that to follow from something they did. */
export async function askForDesktopNotifications(): Promise<void> {
  const permission = await Notification.requestPermission();
  canAskForDesktopNotifications.value = permission === 'default';
}

/** Shows a notification outside the page, where that is allowed and nobody looks at the page in any tab. */
export async function showDesktopNotification({ id, sender_email }: LiveNotification): Promise<void> {
  if (!isSupported || Notification.permission !== 'granted') return;
  const { held = [] } = await navigator.locks.query();
  if (held.some(({ name }) => name === LOOKED_AT)) return;
  try {
    // The tag keeps several tabs from showing it several times.
    const shown = new Notification(t.wroteToYou(sender_email), id === undefined ? {} : { tag: id });
    shown.addEventListener('click', () => {
      window.focus();
      openConversation(sender_email);
      shown.close();
    });
  } catch {
    // Some phones have the permission, and allow it to service workers only.
  }
}
