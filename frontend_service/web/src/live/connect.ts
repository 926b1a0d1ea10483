import * as z from 'zod/mini';
import { EventStream, type StreamListener } from './event-stream.js';
import type { TabMessage, WorkerMessage } from './protocol.js';

/** A worker that takes longer than this to answer has ended, or never began. */
const ANSWER_TIMEOUT_MS = 5_000;

const workerMessageSchema: z.ZodMiniType<WorkerMessage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('state'), state: z.enum(['connecting', 'live', 'interrupted', 'ended']) }),
  z.object({ type: z.literal('notification'), data: z.string() }),
  z.object({ type: z.literal('reset') }),
]);

/** A tab's part of the live events. */
export interface LiveConnection {
  /** Leaves the others alone. */
  close(): void;
  /** Ends the events in all tabs of this user. */
  signOut(): void;
}

/** Begins to hear a user's events: from a worker that all tabs share or, where there can be none, directly. */
export function connectLive(email: string, listener: StreamListener): LiveConnection {
  if (typeof SharedWorker === 'undefined') return connectDirectly(listener);
  let connection = connectToWorker(email, listener, () => {
    connection.close();
    connection = connectDirectly(listener);
  });
  return { close: () => connection.close(), signOut: () => connection.signOut() };
}

function connectDirectly(listener: StreamListener): LiveConnection {
  const stream = new EventStream(listener);
  stream.start();
  const close = () => stream.stop();
  return { close, signOut: close };
}

function connectToWorker(email: string, listener: StreamListener, onSilence: () => void): LiveConnection {
  const worker = new SharedWorker(new URL('./worker.ts', import.meta.url), {
    type: 'module',
    name: `inbox of ${email}`,
  });
  const { port } = worker;
  const listening = new AbortController();
  const { signal } = listening;
  let answerTimer: ReturnType<typeof setTimeout> | undefined;

  const tell = (message: TabMessage) => port.postMessage(message);
  const sayHello = () => {
    tell('hello');
    clearTimeout(answerTimer);
    answerTimer = setTimeout(onSilence, ANSWER_TIMEOUT_MS);
  };

  port.addEventListener(
    'message',
    (event) => {
      clearTimeout(answerTimer);
      const message = workerMessageSchema.parse(event.data);
      if (message.type === 'state') listener.onState(message.state);
      else if (message.type === 'notification') listener.onNotification(message.data);
      else listener.onReset();
    },
    { signal },
  );
  port.start();
  worker.addEventListener('error', onSilence, { signal });

  // A page that the browser keeps for the back button is not heard from meanwhile.
  addEventListener('pagehide', () => tell('bye'), { signal });
  addEventListener('pageshow', ({ persisted }) => persisted && sayHello(), { signal });
  // Some systems end workers of tabs that are not looked at.
  const checkWorker = () => document.visibilityState === 'visible' && sayHello();
  document.addEventListener('visibilitychange', checkWorker, { signal });
  sayHello();

  return {
    close() {
      clearTimeout(answerTimer);
      listening.abort();
      tell('bye');
      port.close();
    },
    signOut: () => tell('sign-out'),
  };
}
