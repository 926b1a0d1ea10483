import { openEventStream } from './event-stream.js';
import { type FeedEvent, tabMessageSchema } from './feed-event.js';

// The worker that the tabs of one browser share: a browser allows six connections to a host, and each tab of one user has
// the same to be told. It ends with its last tab.

const tabs = new Set<MessagePort>();
let state: FeedEvent = { type: 'interrupted' };

const closeStream = openEventStream((event) => {
  if (event.type === 'live' || event.type === 'interrupted') state = event;
  tell(event);
  if (event.type === 'ended') end();
});

function tell(event: FeedEvent, except?: MessagePort): void {
  for (const tab of tabs) if (tab !== except) tab.postMessage(event);
}

/** Has the next tab, which may be another user's, begin anew. */
function end(): void {
  closeStream();
  close();
}

addEventListener('connect', (event) => {
  if (!(event instanceof MessageEvent)) return;
  const [tab] = event.ports;
  if (!tab) return;
  tab.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    const message = tabMessageSchema.parse(data);
    switch (message.type) {
      case 'hello':
        tabs.add(tab);
        tab.postMessage(state);
        break;
      case 'bye':
        tabs.delete(tab);
        break;
      case 'changed':
        tell(message, tab);
        break;
      case 'ended':
        tell(message, tab);
        end();
    }
  });
  tab.start();
});
