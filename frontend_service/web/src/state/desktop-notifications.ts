import { signal } from '@preact/signals';
import type { LiveNotification } from '../api/schemas.js';
import { t } from '../i18n/index.js';
import { openConversation } from './route.js';

const isSupported = typeof Notification !== 'undefined';

/** Whether the user may still be asked whether they want desktop notifications. */
export const canAskForDesktopNotifications = signal(isSupported && Notification.permission === 'default');

/** Asks the user; the browser wants that to follow from something they did. */
export async function askForDesktopNotifications(): Promise<void> {
  const permission = await Notification.requestPermission();
  canAskForDesktopNotifications.value = permission === 'default';
}

/** Shows a notification outside the page, where that is allowed. */
export function showDesktopNotification({ id, sender_email }: LiveNotification): void {
  if (!isSupported || Notification.permission !== 'granted') return;
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
