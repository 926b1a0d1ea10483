import { signal } from '@preact/signals';

const MINUTE_MS = 60_000;

/** Whether the browser believes that it has a network. */
export const isOnline = signal(navigator.onLine);
/** Whether somebody can see this tab. */
export const isVisible = signal(document.visibilityState === 'visible');
/** The time, to the minute: what is shown relative to it stays true. */
export const now = signal(Date.now());

function updateOnline(): void {
  isOnline.value = navigator.onLine;
}

/** Begins to follow what happens around the page. */
export function watchEnvironment(): void {
  addEventListener('online', updateOnline);
  addEventListener('offline', updateOnline);
  document.addEventListener('visibilitychange', () => {
    isVisible.value = document.visibilityState === 'visible';
    now.value = Date.now();
  });
  setInterval(() => (now.value = Date.now()), MINUTE_MS);
}
