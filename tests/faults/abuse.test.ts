import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

// What a hostile caller can do to a port without being understood. Whatever comes of it, others are answered.

const PATH = '/user_service.UserService/CheckUserExists';
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const MAX_MEMORY_BYTES = 400 * 1024 * 1024;

let suite: Suite;
const open: (() => void)[] = [];

beforeAll(async () => {
  suite = await Suite.start({
    processes: ['user_service_grpc', 'user_service_api', 'notification_service_grpc'],
  });
  await suite.waitUntilReady();
});

afterEach(() => {
  for (const close of open.splice(0)) close();
});

afterAll(async () => {
  await suite.stop();
});

/** Opens a connection that nobody minds the end of. */
function dial(): ClientHttp2Session {
  const session = connectHttp2(`http://${suite.addresses.user_service_grpc}`);
  session.on('error', () => {});
  open.push(() => session.destroy());
  return session;
}

function dialTcp(name: 'user_service_grpc' | 'user_service_api' = 'user_service_grpc'): Socket {
  const [host = '', port] = suite.addresses[name].split(':');
  const socket = connectTcp(Number(port), host);
  socket.on('error', () => {});
  socket.resume();
  open.push(() => socket.destroy());
  return socket;
}

/** Begins a call, of which nothing but the headers is sent. */
function begin(session: ClientHttp2Session, headers: Record<string, string> = {}) {
  const stream = session.request(
    { ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', te: 'trailers', ...headers },
    { endStream: false },
  );
  stream.on('error', () => {});
  stream.resume();
  return stream;
}

/** A frame of HTTP/2 (https://www.rfc-editor.org/rfc/rfc9113#section-4.1). */
function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** Expects somebody else to be answered, by the same process, which has not grown out of hand. */
async function expectService(): Promise<void> {
  const { grpc, rest, close } = connect(suite.addresses, suite.redis);
  try {
    expect(await grpc.users.CheckUserExists({ email: 'nobody@example.com' })).toMatchObject({
      exists: false,
    });
    expect((await rest.users().get('/readyz')).status).toBe(200);
    for (const name of ['user_service_grpc', 'user_service_api'] as const) {
      const running = suite.process(name);
      expect(running.isRunning).toBe(true);
      expect(running.output).not.toMatch(/"level":"(error|fatal)"/);
      await waitFor(() => running.memoryBytes < MAX_MEMORY_BYTES, { what: `${name} gives back its memory` });
    }
  } finally {
    close();
  }
}

test('20,000 calls that are reset as soon as they are begun', async () => {
  for (let round = 0; round < 20; round++) {
    const session = dial();
    await once(session, 'connect');
    for (let call = 0; call < 1_000 && !session.destroyed; call++)
      begin(session).close(constants.NGHTTP2_CANCEL);
    await expectService();
  }
});

test('5,000 calls that are never finished, on 10 connections', async () => {
  const sessions = Array.from({ length: 10 }, dial);
  await Promise.all(sessions.map(async (session) => once(session, 'connect')));
  for (const session of sessions) for (let call = 0; call < 500; call++) begin(session);
  await expectService();
});

test('messages that are announced and do not come, or are larger than any may be', async () => {
  const session = dial();
  const announced = begin(session);
  announced.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
  const giant = begin(session);
  const head = Buffer.from([0, 0, 0, 0, 0]);
  head.writeUInt32BE(64 * 1024 * 1024, 1);
  giant.write(head);
  for (let chunk = 0; chunk < 64 && !giant.destroyed; chunk++) giant.write(Buffer.alloc(1024 * 1024));
  const compressed = begin(session, { 'grpc-encoding': 'gzip' });
  compressed.end(Buffer.from([1, 0, 0, 0, 4, 1, 2, 3, 4]));
  const unknown = begin(session, {
    'grpc-encoding': 'rot13',
    'grpc-timeout': 'soon',
    'content-type': 'text/plain',
  });
  unknown.end();
  await expectService();
});

test('giant headers, and very many', async () => {
  const session = dial();
  begin(session, { 'x-giant': 'x'.repeat(60 * 1024) });
  for (let call = 0; call < 20; call++) {
    const many = Object.fromEntries(
      Array.from({ length: 1_500 }, (_, index) => [`x-${call}-${index}`, 'value']),
    );
    begin(dial(), many).end();
  }
  await expectService();
});

test('frames without end: continuations of headers, pings and settings', async () => {
  const empty = frame(4, 0, 0, Buffer.alloc(0));
  const floods = [
    // HEADERS without END_HEADERS, and CONTINUATION frames that never end them.
    [frame(1, 0, 1, Buffer.alloc(0)), frame(9, 0, 1, Buffer.alloc(16 * 1024, 0x40))],
    [frame(6, 0, 0, Buffer.alloc(8)), frame(6, 0, 0, Buffer.alloc(8))],
    [empty, empty],
    // WINDOW_UPDATE for a stream that there is not, and PRIORITY.
    [frame(8, 0, 0, Buffer.from([0, 0, 0, 1])), frame(2, 0, 3, Buffer.alloc(5))],
  ];
  for (const [first = empty, then = empty] of floods) {
    const socket = dialTcp();
    socket.write(Buffer.concat([Buffer.from(PREFACE), empty, first]));
    const flood = Buffer.concat(Array.from({ length: 200 }, () => then));
    for (let round = 0; round < 50 && !socket.destroyed; round++) socket.write(flood);
    await expectService();
  }
});

test('connections that say nothing, or what is no HTTP', async () => {
  for (const name of ['user_service_grpc', 'user_service_api'] as const) {
    for (let connection = 0; connection < 200; connection++) {
      const socket = dialTcp(name);
      if (connection % 4 === 1) socket.write(PREFACE.slice(0, connection % PREFACE.length));
      if (connection % 4 === 2) socket.write('GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ');
      if (connection % 4 === 3) socket.write(Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 0, 0, 0]));
    }
  }
  await expectService();
});

test('REST requests with giant headers, bodies that do not come, and lengths that are not true', async () => {
  const [host, port] = suite.addresses.user_service_api.split(':');
  const agent = new Agent();
  open.push(() => agent.destroy());
  const giant = get({ agent, host, port, headers: { 'X-Giant': 'x'.repeat(20 * 1024) } });
  const [refused] = await once(giant, 'response');
  expect(refused).toMatchObject({ statusCode: 431 });
  for (const head of [
    'Content-Length: 1000',
    'Content-Length: -1',
    'Content-Length: 99999999999999999999',
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF',
    'Content-Length: 10\r\nContent-Length: 11',
    'Expect: something',
  ]) {
    const socket = dialTcp('user_service_api');
    socket.write(`POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${head}\r\n\r\n{"a":`);
  }
  await expectService();
});
