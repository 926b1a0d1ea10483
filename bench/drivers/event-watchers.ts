import { Agent, type ClientRequest, get } from 'node:http';
import { z } from 'zod';
import { signUpAndIn } from '../sign-in.js';
import { Watcher, type Watchers } from './watchers.js';

const notification = z.object({ receiver_email: z.string() });

/** Watchers by `GET /api/events`, as a browser's windows are: each over a connection of its own. */
export class EventWatchers implements Watchers {
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Infinity });
  readonly #requests: ClientRequest[] = [];
  readonly #cookies = new Map<string, Promise<string>>();
  #lastSignUp: Promise<unknown> = Promise.resolve();

  constructor(private readonly address: string) {}

  async add(email: string): Promise<Watcher> {
    const watcher = new Watcher(email);
    const headers = { cookie: await this.#signIn(email) };
    const request = get(`http://${this.address}/api/events`, { agent: this.#agent, headers }, (response) => {
      if (response.statusCode !== 200) watcher.failure = `HTTP ${response.statusCode}`;
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const events = (rest + chunk).split('\n\n');
        rest = events.pop() ?? '';
        for (const event of events) takeEvent(watcher, event);
      });
      response.on('error', () => {});
      response.once('close', () => (watcher.failure ??= 'the stream has ended'));
    });
    request.on('error', ({ message }) => (watcher.failure ??= message));
    this.#requests.push(request);
    return watcher;
  }

  close(): void {
    for (const request of this.#requests) request.destroy();
    this.#agent.destroy();
  }

  /** One session is enough for all windows of a user. */
  async #signIn(email: string): Promise<string> {
    const known = this.#cookies.get(email);
    if (known) return known;
    // One after the other: many passwords at once would be hashed too late for some.
    const cookie = this.#lastSignUp.then(async () =>
      signUpAndIn(this.address, { email, name: email, password: 'the password of a bench' }),
    );
    this.#lastSignUp = cookie;
    this.#cookies.set(email, cookie);
    return cookie;
  }
}

function takeEvent(watcher: Watcher, event: string): void {
  switch (/^event: (.*)$/m.exec(event)?.[1]) {
    case 'live':
      watcher.isServed = true;
      break;
    case 'notification':
      watcher.take(notification.parse(JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? '')).receiver_email);
      break;
    default:
    // A heartbeat, or how long to wait before connecting again.
  }
}
