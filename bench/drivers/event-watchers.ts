import { Agent, type ClientRequest, get } from 'node:http';
import { SignJWT } from 'jose';
import { z } from 'zod';
import { Watcher, type Watchers } from './watchers.js';

const notification = z.object({ receiver_email: z.string() });

/** Watchers by `GET /api/events`, as a browser's windows are: each over a connection of its own. */
export class EventWatchers implements Watchers {
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Infinity });
  readonly #requests: ClientRequest[] = [];
  readonly #key: Uint8Array;

  /** @param sessionSecret what the suite signs sessions with */
  constructor(
    private readonly address: string,
    sessionSecret: string,
  ) {
    this.#key = new TextEncoder().encode(sessionSecret);
  }

  async add(email: string): Promise<Watcher> {
    const watcher = new Watcher(email);
    const headers = { cookie: `inbox_session=${await this.#signToken(email)}` };
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

  /** A token as a log-in gives it, without what a log-in costs. */
  async #signToken(email: string): Promise<string> {
    return new SignJWT({ name: email })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(email)
      .setAudience('inbox')
      .setIssuedAt()
      .setExpirationTime('7d')
      .sign(this.#key);
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
