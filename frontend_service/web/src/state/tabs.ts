import * as z from 'zod/mini';

const tabMessageSchema = z.object({ changed: z.enum(['conversation', 'session']), email: z.string() });

/** What another tab of this browser did. */
export type TabMessage = z.infer<typeof tabMessageSchema>;

/** What the tabs of a browser tell each other, as the server tells one user nothing of their own doing. */
export class Tabs {
  readonly #channel: BroadcastChannel;

  /** @param name only tabs of the same name hear each other */
  constructor(name: string, onMessage: (message: TabMessage) => void) {
    this.#channel = new BroadcastChannel(name);
    this.#channel.addEventListener('message', ({ data }) => {
      const message = tabMessageSchema.safeParse(data);
      if (message.success) onMessage(message.data);
    });
  }

  tell(message: TabMessage): void {
    this.#channel.postMessage(message);
  }

  close(): void {
    this.#channel.close();
  }
}
