import { signal } from '@preact/signals';

/** Whether the browser may be asked to show notifications outside the page. */
export const canAskForDesktopNotifications = signal(
  typeof Notification !== 'undefined' && Notification.permission === 'default',
);

/** Has the browser ask the user. */
export async function askForDesktopNotifications(): Promise<void> {
  await Notification.requestPermission();
  canAskForDesktopNotifications.value = Notification.permission === 'default';
}

/** Shows something outside the page, where the user has allowed it; the same `id` once, whichever tab shows it. */
export function notifyDesktop(text: string, id: string | undefined, onClick: () => void): void {
  if (typeof Notification === 'undefined' || Notification.permission !== 'granted') return;
  try {
    const shown = new Notification(text, id === undefined ? {} : { tag: id });
    shown.addEventListener('click', () => {
      window.focus();
      shown.close();
      onClick();
    });
  } catch {
    // Browsers of phones allow it to service workers alone.
  }
}
