import { openEventStream } from './event-stream.js';
import { type FeedEvent, feedEventSchema, type TabMessage } from './feed-event.js';

/** The events of one user, in one tab. */
export interface Feed {
  /** Tells this user's other tabs of this browser something. */
  tell: (message: Extract<TabMessage, { type: 'changed' | 'ended' }>) => void;
  close: () => void;
}

/**
 * Follows a user's events: by the worker that all tabs of this browser share or, in a browser that has no such workers, by a
 * stream of this tab's own.
 */
export function openFeed(email: string, emit: (event: FeedEvent) => void): Feed {
  if (typeof SharedWorker === 'undefined') return { tell: () => {}, close: openEventStream(emit) };

  const { port } = new SharedWorker(new URL('./shared-feed.ts', import.meta.url), {
    type: 'module',
    name: `feed of ${email}`,
  });
  const say = (message: TabMessage) => port.postMessage(message);
  const hello = () => say({ type: 'hello' });
  const bye = () => say({ type: 'bye' });
  port.addEventListener('message', ({ data }: MessageEvent<unknown>) => emit(feedEventSchema.parse(data)));
  port.start();
  hello();
  // A page that is kept for the way back is told of nothing meanwhile.
  addEventListener('pagehide', bye);
  addEventListener('pageshow', hello);
  return {
    tell: say,
    close: () => {
      removeEventListener('pagehide', bye);
      removeEventListener('pageshow', hello);
      bye();
      port.close();
    },
  };
}
