import { z } from 'zod';
import type { Account } from './clients.js';
import { openByTls, type Shown } from './certificates.js';
import { restClient } from './rest.js';

/** Signs in at the REST door of FrontendService. Resolves to the cookie to send from then on. */
export async function signIn(address: string, { email, password }: Account): Promise<string> {
  const response = await restClient('frontend_service_api', address)
    .post('/api/session')
    .send({ email, password });
  if (response.status !== 200)
    throw new Error(`POST /api/session answered ${response.status} ${response.text}`);
  return readCookie(response.headers['set-cookie']);
}

/** Takes what a browser sends back out of the only cookie that it was given. */
export function readCookie(header: unknown): string {
  const [cookie] = z.tuple([z.string()]).parse(header);
  return cookie.split(';')[0] ?? '';
}

const notification = z.object({ id: z.string().optional(), sender_email: z.string() });

/** One server-sent event, as it came. */
export interface ReceivedEvent {
  event: string;
  id: string | undefined;
  data: unknown;
}

/** A stream of server-sent events: those received so far, and its end. */
export class EventStream {
  readonly received: ReceivedEvent[] = [];
  /** How many events came that only keep the connection alive. */
  heartbeats = 0;
  /** How long the server says to wait before connecting again. */
  retryMs: number | undefined;
  readonly ended: Promise<void>;

  private constructor(
    private readonly connection: AbortController,
    body: AsyncIterable<Uint8Array>,
  ) {
    this.ended = this.#read(body).catch(() => {});
  }

  /**
   * Opens `GET /api/events`.
   *
   * @param lastEventId as a browser sends it when it connects again
   * @param query as a page gives it when it connects at first
   * @throws when it is not answered with a stream.
   */
  static async open(address: string, cookie: string, lastEventId?: string, query = ''): Promise<EventStream> {
    const connection = new AbortController();
    const response = await fetch(`http://${address}/api/events${query}`, {
      headers: { cookie, ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
      signal: connection.signal,
    });
    const type = response.headers.get('content-type');
    if (response.status !== 200 || !type?.startsWith('text/event-stream') || !response.body) {
      throw new Error(`GET /api/events answered ${response.status} with ${type}`);
    }
    return new EventStream(connection, response.body);
  }

  /** The same by HTTPS. */
  static async openByTls(address: string, cookie: string, shown: Shown): Promise<EventStream> {
    const connection = new AbortController();
    const { signal } = connection;
    const response = await openByTls(address, '/api/events', shown, { headers: { cookie }, signal });
    if (response.statusCode !== 200) throw new Error(`GET /api/events answered ${response.statusCode}`);
    return new EventStream(connection, response);
  }

  /** The ids of the notifications, in the order in which they came. */
  get notificationIds(): (string | undefined)[] {
    return this.notifications.map(({ id }) => id);
  }

  get notifications(): z.output<typeof notification>[] {
    return this.received
      .filter(({ event }) => event === 'notification')
      .map(({ data }) => notification.parse(data));
  }

  /** What a browser would resume after. */
  get lastEventId(): string | undefined {
    return this.received.findLast(({ id }) => id !== undefined)?.id;
  }

  /** Tells whether an event of this type came. */
  has(event: string): boolean {
    return this.received.some((received) => received.event === event);
  }

  close(): void {
    this.connection.abort();
  }

  async #read(body: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let unread = '';
    for await (const chunk of body) {
      unread += decoder.decode(chunk, { stream: true });
      const blocks = unread.split('\n\n');
      unread = blocks.pop() ?? '';
      for (const block of blocks) this.#receive(block);
    }
  }

  #receive(block: string): void {
    const fields = new Map(
      block.split('\n').map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }),
    );
    const data = fields.get('data');
    const retry = fields.get('retry');
    if (retry !== undefined) this.retryMs = Number(retry);
    if (fields.get('event') === 'heartbeat') this.heartbeats++;
    if (data === undefined || fields.get('event') === 'heartbeat') return;
    this.received.push({
      event: fields.get('event') ?? 'message',
      id: fields.get('id'),
      data: JSON.parse(data),
    });
  }
}
