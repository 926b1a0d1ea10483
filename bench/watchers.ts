import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import { SignJWT } from 'jose';
import { callUnary } from './grpc-call.js';
import type { Options } from './options.js';
import { type Memory, readMemory } from './proc.js';
import type { Processes } from './processes.js';
import { frontendService, notificationService } from './protos.js';
import { watchersTable } from './report.js';
import { startSuite, type Suite } from './systems/suite.js';
import { waitUntil } from './wait-until.js';

const USERS = 200;
const WATCHERS_PER_USER = 10;
const WATCHERS = USERS * WATCHERS_PER_USER;
const CONNECTIONS = 20;
const SESSION_SECRET = 'what the sessions of the bench are signed with';
/** As many as one call may bring. */
const BATCH = 200;

const emails = Array.from({ length: USERS }, (_, user) => `watcher${user}@example.com`);

/** Everything that watches: it counts what it is shown. */
interface Crowd {
  /** How many notifications all together were shown. */
  shown: number;
  close: () => void;
}

/** A way to watch, and the processes that hold something for each who does. */
interface Way {
  name: string;
  processes: readonly string[];
  gather: (suite: Suite, signal: AbortSignal) => Promise<Crowd>;
}

/** What one process holds before and while it is watched. */
export interface WatchedMemory {
  way: string;
  process: string;
  before: Memory[];
  after: Memory[];
  perWatcherBytes: number[];
  /** How long it took until a notification for each user had been shown to all. */
  toldMs: number[];
}

const ways: readonly Way[] = [
  { name: 'WatchNotifications', processes: ['frontend_service_grpc'], gather: gatherStreams },
  {
    name: 'GET /api/events',
    processes: ['frontend_service_api', 'frontend_service_grpc'],
    gather: gatherEventSources,
  },
];

/** Measures what a process holds for each who watches it and is told nothing. */
export async function runWatchers(
  processes: Processes,
  { rounds }: Options,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<{ markdown: string; json: unknown }> {
  const results: WatchedMemory[] = ways.flatMap(({ name, processes: watched }) =>
    watched.map((process) => ({
      way: name,
      process,
      before: [],
      after: [],
      perWatcherBytes: [],
      toldMs: [],
    })),
  );
  for (let round = 1; round <= rounds; round++) {
    for (const way of ways) {
      say(`round ${round} of ${rounds}: ${WATCHERS} × ${way.name}`);
      const suite = await startSuite(`suite watched by ${way.name}, ${round}`, processes, signal, undefined, {
        SESSION_SECRET,
      });
      await measure(way, suite, results, signal);
      await processes.stopNodes();
    }
  }
  return { markdown: watchersTable(WATCHERS, results), json: results };
}

async function measure(way: Way, suite: Suite, results: WatchedMemory[], signal: AbortSignal): Promise<void> {
  const watched = results.filter(({ way: name }) => name === way.name);
  const read = async () =>
    Promise.all(watched.map(({ process }) => readSettled(pidOf(suite, process), signal)));
  const before = await read();
  const crowd = await way.gather(suite, signal);
  try {
    const after = await read();
    const toldMs = await tellAll(suite, crowd, signal);
    for (const [position, result] of watched.entries()) {
      const [idle, loaded] = [before[position], after[position]];
      if (!idle || !loaded) continue;
      result.before.push(idle);
      result.after.push(loaded);
      result.perWatcherBytes.push((loaded.pss - idle.pss) / WATCHERS);
      result.toldMs.push(toldMs);
    }
  } finally {
    crowd.close();
  }
}

function pidOf({ processes }: Suite, name: string): number {
  const found = processes.find((process) => process.name === name);
  if (!found) throw new Error(`there is no ${name}`);
  return found.pid;
}

/** Reads memory once it has stopped to change. */
async function readSettled(pid: number, signal: AbortSignal): Promise<Memory> {
  const STEADY_BYTES = 512 * 1024;
  let last = await readMemory(pid);
  for (;;) {
    await sleep(2_000, undefined, { signal });
    const now = await readMemory(pid);
    if (Math.abs(now.pss - last.pss) < STEADY_BYTES) return now;
    last = now;
  }
}

/** Stores a notification for each user, and waits until each has been shown to all who watch that user. */
async function tellAll({ addresses }: Suite, crowd: Crowd, signal: AbortSignal): Promise<number> {
  const client = new Client(addresses.notification_service_grpc, credentials.createInsecure());
  const startedAt = Date.now();
  for (let sent = 0; sent < USERS; sent += BATCH) {
    const notifications = emails
      .slice(sent, sent + BATCH)
      .map((receiver_email) => ({ sender_email: 'bench@example.com', receiver_email }));
    await callUnary(client, notificationService.CreateNotifications, { notifications });
  }
  client.close();
  await waitUntil('all are shown it', async () => crowd.shown >= WATCHERS, signal);
  return Date.now() - startedAt;
}

/** Watches over gRPC: some hundred streams to a connection. */
async function gatherStreams({ addresses }: Suite): Promise<Crowd> {
  const { WatchNotifications: method } = frontendService;
  const clients = Array.from(
    { length: CONNECTIONS },
    () =>
      new Client(addresses.frontend_service_grpc, credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      }),
  );
  const crowd = { shown: 0, close: () => clients.forEach((client) => client.close()) };
  const streams = Array.from({ length: WATCHERS }, (_, watcher) => {
    const client = clients[watcher % CONNECTIONS];
    if (!client) throw new Error('there is no connection');
    const request = { email: emails[watcher % USERS] ?? '', after_id: '0' };
    const stream = client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
    );
    stream.on('error', () => {});
    stream.on('data', () => crowd.shown++);
    return stream;
  });
  await Promise.all(streams.map((stream) => once(stream, 'metadata')));
  return crowd;
}

/** Watches as browsers do: each over a connection of its own. */
async function gatherEventSources({ addresses }: Suite, signal: AbortSignal): Promise<Crowd> {
  const agent = new Agent({ maxSockets: Infinity });
  let live = 0;
  const crowd = { shown: 0, close: () => agent.destroy() };
  const cookies = await Promise.all(emails.map(async (email) => `inbox_session=${await signToken(email)}`));
  for (let watcher = 0; watcher < WATCHERS; watcher++) {
    const request = get(`http://${addresses.frontend_service_api}/api/events`, {
      agent,
      headers: { cookie: cookies[watcher % USERS] },
    });
    request.on('error', () => {});
    request.on('response', (response: IncomingMessage) => {
      response.on('error', () => {});
      response.setEncoding('utf8').on('data', (text: string) => {
        // Events are small, and written one at a time.
        if (text.includes('event: live')) live++;
        if (text.includes('event: notification')) crowd.shown++;
      });
    });
  }
  await waitUntil('all streams are live', async () => live >= WATCHERS, signal);
  return crowd;
}

/** A session, as the REST door of FrontendService would begin it. */
async function signToken(email: string): Promise<string> {
  return new SignJWT({ name: 'Watcher' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(email)
    .setAudience('inbox')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SESSION_SECRET));
}
