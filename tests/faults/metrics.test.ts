import { readFile } from 'node:fs/promises';
import { status } from '@grpc/grpc-js';
import { enqueueLua } from '@messaging/service_kit/redis/outbox';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../helpers/clients.js';
import { findFreePort } from '../helpers/free-ports.js';
import { EventStream, signIn } from '../helpers/inbox.js';
import { type Metrics, readMetricNames, readMetrics } from '../helpers/metrics.js';
import { type ProcessName, Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';
import { watchNotifications } from '../helpers/watch.js';

const grpcDoors = [
  'user_service_grpc',
  'message_service_grpc',
  'notification_service_grpc',
  'frontend_service_grpc',
] as const;
const restDoors = [
  'user_service_api',
  'message_service_api',
  'notification_service_api',
  'frontend_service_api',
] as const;
const account = (email: string) => ({ email, password: 'correct horse', name: email });
const alice = account('alice@example.com');
const bob = account('bob@example.com');

let suite: Suite;
let clients: ReturnType<typeof connect>;
/** What looks like the name of a metric, and is one of a label. */
const labels = new Set(['grpc_code', 'grpc_method']);

const metricsPorts = new Map<ProcessName, number>();

beforeAll(async () => {
  for (const name of grpcDoors) metricsPorts.set(name, await findFreePort());
  suite = await Suite.start({
    environment: { REDIS_TIMEOUT_MS: '1000' },
    processEnvironment: Object.fromEntries(
      [...metricsPorts].map(([name, port]) => [name, { METRICS_PORT: String(port) }]),
    ),
  });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const user of [alice, bob]) {
    await clients.rest.users().post('/users').send(user).expect(201);
  }
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

function addressOfMetrics(name: ProcessName): string {
  const port = metricsPorts.get(name);
  return port === undefined ? suite.addresses[name] : `127.0.0.1:${port}`;
}

function read(name: ProcessName): Promise<Metrics> {
  return readMetrics(addressOfMetrics(name));
}

/** Waits until a series of a process has a value. */
async function expectSeries(name: ProcessName, series: string, isRight: (value: number) => boolean) {
  await waitFor(
    async () => {
      const value = (await read(name)).get(series);
      return value !== undefined && isRight(value);
    },
    { what: `${series} of ${name} is as expected`, timeoutMs: 20_000 },
  );
}

const send = (content: string) =>
  clients.grpc.messages.SendMessage({
    message: { sender_email: alice.email, receiver_email: bob.email, content },
  });

/** How many calls to SendMessage ended with a code. */
const sendsEndedWith = (code: string) =>
  `grpc_server_handling_seconds_count{grpc_method="/message_service.MessageService/SendMessage",grpc_code="${code}"}`;

async function askForNothing(index: number): Promise<void> {
  await clients.rest.users().get(`/nothing/${index}`).expect(404);
  await clients.rest.users().get(`/users/someone-${index}@example.com`).expect(404);
}

/** Of the suite's own series: Node.js tells of a kind of garbage collection once there has been one. */
function namesOfOwn(metrics: Metrics): string[] {
  return [...metrics.keys()].filter((series) => !series.startsWith('nodejs_')).toSorted();
}

describe('the metrics', () => {
  it('have every name that the dashboard and the alert rules ask for', async () => {
    const told = new Set<string>();
    for (const name of [...grpcDoors, ...restDoors]) {
      for (const metric of await readMetricNames(addressOfMetrics(name))) told.add(metric);
    }
    for (const file of ['alerts.yml', 'grafana/dashboards/messaging-suite.json']) {
      const text = await readFile(new URL(`../../deploy/observability/${file}`, import.meta.url), 'utf8');
      const asked =
        text.match(
          /\b(?:http|grpc|redis|outbox|peer|batch|queued|requests|answer|process|nodejs)_[a-z0-9_]+\b/g,
        ) ?? [];
      expect(asked.length).toBeGreaterThan(10);
      const unknown = asked
        .map((name) => name.replace(/_(bucket|count|sum)$/, ''))
        .filter((name) => !told.has(name) && !labels.has(name) && !/_(grpc|api)$/.test(name));
      expect(unknown, file).toEqual([]);
    }
  });

  it.each([...grpcDoors, ...restDoors])('of %s tell of the process, its requests and Redis', async (name) => {
    const metrics = await read(name);
    for (const series of [
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
      'requests_in_flight',
    ]) {
      expect(metrics.get(series), series).toBeGreaterThanOrEqual(0);
    }
    if (name === 'frontend_service_api') return;
    const { database } =
      /redis_up\{database="(?<database>\d)"\}/.exec([...metrics.keys()].join('\n'))?.groups ?? {};
    expect(metrics.get(`redis_up{database="${database}"}`)).toBe(1);
  });

  it('count calls by method and code, and requests by route and status', async () => {
    const route = 'http_server_request_duration_seconds_count{method="GET",route="/users/:email",status=';
    const before = await read('message_service_grpc');
    for (const content of ['one', 'two', 'three']) await send(content);
    await expect(send('')).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    const after = await read('message_service_grpc');
    expect(after.get(sendsEndedWith('OK'))).toBe((before.get(sendsEndedWith('OK')) ?? 0) + 3);
    expect(after.get(sendsEndedWith('INVALID_ARGUMENT'))).toBe(
      (before.get(sendsEndedWith('INVALID_ARGUMENT')) ?? 0) + 1,
    );
    expect(after.get('redis_command_duration_seconds_count{command="addMessage",outcome="answered"}')).toBe(
      (before.get('redis_command_duration_seconds_count{command="addMessage",outcome="answered"}') ?? 0) + 3,
    );
    expect(
      after.get('grpc_client_handling_seconds_count{peer="UserService",grpc_code="OK"}'),
    ).toBeGreaterThan(0);
    expect(after.get('batch_items_count{target="NotificationService"}')).toBeGreaterThan(0);

    await clients.rest.users().get(`/users/${alice.email}`).expect(200);
    await clients.rest.users().get('/users/nobody@example.com').expect(404);
    const rest = await read('user_service_api');
    expect(rest.get(`${route}"200"}`)).toBe(1);
    expect(rest.get(`${route}"404"}`)).toBe(1);
  });

  it('grow with routes and methods, never with who is asked about or what is asked for', async () => {
    await askForNothing(0);
    // FrontendService asks by itself, again and again: what is to be told of that is told by now.
    for (const route of ['/healthz', '/.well-known/jwks.json', '/ended_sessions']) {
      const asked = `http_server_request_duration_seconds_count{method="GET",route="${route}",status="200"}`;
      await expectSeries('user_service_api', asked, (count) => count > 0);
    }
    const few = await read('user_service_api');
    for (let index = 1; index <= 100; index++) await askForNothing(index);
    const many = await read('user_service_api');
    expect(namesOfOwn(many)).toEqual(namesOfOwn(few));
    for (const name of [...grpcDoors, ...restDoors]) {
      expect([...(await read(name)).keys()].join('\n')).not.toMatch(/@|correct horse/);
    }
  });

  it('say of no peer that it is away while all are there', async () => {
    for (const name of [...grpcDoors, ...restDoors]) {
      const findAway = async () =>
        [...(await read(name))].filter(([series, value]) => series.startsWith('peer_up{') && value !== 1);
      await expect.poll(findAway, { timeout: 10_000 }).toEqual([]);
    }
  });

  it('count who watches', async () => {
    await expectSeries('frontend_service_grpc', 'answer_streams_open', (open) => open === 0);
    const watch = watchNotifications(clients.channel('frontend_service_grpc'), { email: bob.email });
    const events = await EventStream.open(
      suite.addresses.frontend_service_api,
      await signIn(suite.addresses.frontend_service_api, bob),
    );
    await watch.established;
    await expectSeries('frontend_service_api', 'answer_streams_open', (open) => open === 1);
    // That of the REST door watches as well.
    await expectSeries('frontend_service_grpc', 'answer_streams_open', (open) => open === 2);
    watch.cancel();
    events.close();
    for (const name of ['frontend_service_api', 'frontend_service_grpc'] as const) {
      await expectSeries(name, 'answer_streams_open', (open) => open === 0);
    }
  });

  it('tell what waits for a peer that is away, and for how long', async () => {
    const notifications = suite.process('notification_service_grpc');
    const waiting = 'outbox_entries{stream="outbox:notify"}';
    await expectSeries('message_service_grpc', waiting, (entries) => entries === 0);
    notifications.kill('SIGKILL');
    await notifications.exited;
    await send('while it is away');
    await expectSeries('message_service_grpc', waiting, (entries) => entries === 1);
    await expectSeries('message_service_grpc', 'peer_up{peer="NotificationService"}', (up) => up === 0);
    const age = 'outbox_oldest_entry_age_seconds{stream="outbox:notify"}';
    await expectSeries('message_service_grpc', age, (seconds) => seconds > 0.5 && seconds < 60);
    await expectSeries(
      'message_service_grpc',
      'outbox_deliveries_total{stream="outbox:notify",outcome="postponed"}',
      (attempts) => attempts > 0,
    );
    await notifications.restart();
    await expectSeries('message_service_grpc', waiting, (entries) => entries === 0);
    await expectSeries('message_service_grpc', age, (seconds) => seconds === 0);
    await expectSeries('message_service_grpc', 'peer_up{peer="NotificationService"}', (up) => up === 1);
  });

  it('tell of dead letters', async () => {
    await clients
      .redis(1)
      .eval(`${enqueueLua} return enqueue(KEYS[1], ARGV[1])`, 1, 'outbox:notify', '{"half');
    await expectSeries(
      'message_service_api',
      'outbox_dead_letters{stream="outbox:notify"}',
      (dead) => dead === 1,
    );
    await clients.redis(1).del('outbox:notify:dead');
  });

  it('are told while Redis is away, and say so', async () => {
    await suite.redis.kill();
    await expectSeries('message_service_grpc', 'redis_up{database="1"}', (up) => up === 0);
    const metrics = await read('message_service_grpc');
    expect(metrics.has('outbox_entries{stream="outbox:notify"}')).toBe(false);
    // It lives, whatever it lacks: whoever looks after it must not take the one for the other.
    const { status: alive } = await fetch(`http://${addressOfMetrics('message_service_grpc')}/healthz`);
    expect(alive).toBe(200);
    await suite.redis.start();
    await expectSeries('message_service_grpc', 'redis_up{database="1"}', (up) => up === 1);
    await expectSeries(
      'message_service_grpc',
      'outbox_entries{stream="outbox:notify"}',
      (entries) => entries === 0,
    );
  });
});
