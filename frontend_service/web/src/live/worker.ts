import { EventStream } from './event-stream.js';
import type { WorkerMessage } from './protocol.js';

/**
 * Reads one user's events for all tabs of this browser: browsers open few connections to one server, and each tab
 * with a stream of its own would soon leave none for anything else.
 */
const tabs = new Set<MessagePort>();

function tellAll(message: WorkerMessage): void {
  for (const tab of tabs) tab.postMessage(message);
}

const stream = new EventStream({
  onState: (state) => tellAll({ type: 'state', state }),
  onNotification: (data) => tellAll({ type: 'notification', data }),
  onReset: () => tellAll({ type: 'reset' }),
});

function welcome(tab: MessagePort): void {
  tabs.add(tab);
  stream.start();
  tab.postMessage({ type: 'state', state: stream.state } satisfies WorkerMessage);
}

function signOut(): void {
  stream.stop();
  tellAll({ type: 'state', state: 'ended' });
}

function forget(tab: MessagePort): void {
  tabs.delete(tab);
  // The worker itself stays: one that is closing may still be given to a new tab, which then waits in vain. The
  // browser ends it with the last tab that ever used it.
  if (tabs.size === 0) stream.stop();
}

addEventListener('connect', (event) => {
  const tab = event instanceof MessageEvent ? event.ports[0] : undefined;
  if (!tab) return;
  tab.addEventListener('message', ({ data }) => {
    if (data === 'hello') welcome(tab);
    else if (data === 'bye') forget(tab);
    else if (data === 'sign-out') signOut();
  });
  // Not all browsers tell when a tab is gone without a word; there it costs a message to nobody.
  tab.addEventListener('close', () => forget(tab));
  tab.start();
});
