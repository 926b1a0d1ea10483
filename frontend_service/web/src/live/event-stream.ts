import { api, ApiError } from '../api/client.js';
import { notificationSchema } from '../api/types.js';
import { backoffMs, waitForNetwork } from '../backoff.js';
import type { FeedEvent } from './feed-event.js';

/**
 * Follows the server's events, for as long as the session lasts. The browser connects again by itself after most
 * losses; after an answer that makes it give up, this does.
 *
 * @returns what ends it.
 */
export function openEventStream(emit: (event: FeedEvent) => void): () => void {
  let source: EventSource | undefined;
  let lastEventId = '';
  let failures = 0;
  let isClosed = false;

  const open = () => {
    const opened = new EventSource(`/api/events?last_event_id=${encodeURIComponent(lastEventId)}`);
    source = opened;
    const listen = (type: string, handle: (event: MessageEvent<unknown>) => void) =>
      opened.addEventListener(type, (event) => {
        if (!(event instanceof MessageEvent)) return;
        lastEventId = event.lastEventId;
        handle(event);
      });
    listen('live', () => {
      failures = 0;
      emit({ type: 'live' });
    });
    listen('interrupted', () => emit({ type: 'interrupted' }));
    listen('reset', () => emit({ type: 'reset' }));
    listen('notification', ({ data }) => {
      const notification = notificationSchema.safeParse(JSON.parse(String(data)));
      if (notification.success) emit({ type: 'notification', notification: notification.data });
    });
    opened.addEventListener('error', () => {
      emit({ type: 'interrupted' });
      if (opened.readyState === EventSource.CLOSED) void openAgain();
    });
  };

  const openAgain = async () => {
    failures++;
    await waitForNetwork(backoffMs(failures));
    if (isClosed) return;
    if (await isSessionOver()) emit({ type: 'ended' });
    else if (!isClosed) open();
  };

  open();
  return () => {
    isClosed = true;
    source?.close();
  };
}

async function isSessionOver(): Promise<boolean> {
  try {
    await api.getSession();
    return false;
  } catch (error) {
    return error instanceof ApiError && error.status === 401;
  }
}
