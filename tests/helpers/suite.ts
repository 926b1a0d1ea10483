import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@grpc/grpc-js';
import { channelCredentials } from '@messaging/service_kit/grpc/credentials';
import { loadCertificates } from '@messaging/service_kit/tls/certificates';
import { LocalRedis } from '../../scripts/dist/redis-server.js';
import {
  addressOf,
  entryFile,
  environmentOf,
  forEveryProcess,
  isHealthy,
  type Layout,
  peerEnvironment,
  type ProcessName,
  ROOT_FOLDER,
  suiteProcesses,
  tlsFilesOf,
} from '../../scripts/dist/suite.js';
import { findFreePort, findFreePorts } from './free-ports.js';
import { killAtExit } from './kill-at-exit.js';
import { RunningProcess } from './running-process.js';
import { waitFor } from './wait-for.js';

export type { ProcessName } from '../../scripts/dist/suite.js';

/** `host:port` of every process. */
export type Addresses = Record<ProcessName, string>;

/** The processes that a message goes through, from sign-up to FrontendService. */
export const MESSAGE_CHAIN = [
  'user_service_api',
  'user_service_grpc',
  'message_service_grpc',
  'notification_service_grpc',
  'frontend_service_grpc',
] as const satisfies readonly ProcessName[];

/** What to start. */
export interface SuiteOptions {
  /** Only these processes; all eight unless told. The others' addresses are free ports where nobody answers. */
  processes?: readonly ProcessName[];
  /** More environment variables for every process. */
  environment?: Record<string, string>;
  /** More environment variables for single processes. */
  processEnvironment?: Partial<Record<ProcessName, Record<string, string>>>;
  /** Has all callers show who they are; the services know each other by the keys in this folder. */
  serviceKeysFolder?: string;
  /** Has all of them speak TLS, with the certificates in this folder; this process asks for their health as the operator. */
  tlsFolder?: string;
  /** How many replicas these processes have; the others know all of them. One of each unless told. */
  replicas?: Partial<Record<ProcessName, number>>;
  /** Has every process, gRPC or REST, serve its metrics: see `metricsAddresses`. */
  metrics?: boolean;
  /** `none` leaves Redis away until `suite.redis.start()`; `running` unless told. */
  redis?: 'running' | 'none';
  /** More of what Redis is to be told, as in redis.conf, once its port is known. */
  redisOptions?: (port: number) => Record<string, string>;
}

/** One more process of a kind; the first one has the number 1. */
interface PlannedReplica {
  name: ProcessName;
  number: number;
  port: number;
}

interface Replica {
  name: ProcessName;
  number: number;
  address: string;
  running: RunningProcess;
}

/** A suite of one's own on free ports, or a part of it, for tests that break things. */
export class Suite {
  readonly redis: SuiteRedis;
  readonly addresses: Addresses;
  readonly #processes = new Map<ProcessName, RunningProcess>();
  /** Those beside the first ones. */
  readonly #replicas: Replica[] = [];
  readonly #metricsAddresses = new Map<ProcessName, string[]>();

  private constructor(
    private readonly layout: Layout,
    private readonly folder: string,
    redisOptions: Record<string, string>,
  ) {
    this.redis = new SuiteRedis(layout.redis.port, folder, redisOptions);
    this.addresses = forEveryProcess(({ name }) => addressOf(name, layout));
  }

  /** Starts it. When this returns the processes are spawned, not yet ready: see `waitUntilReady`. */
  static async start(options: SuiteOptions = {}): Promise<Suite> {
    const { serviceKeysFolder, tlsFolder } = options;
    const layout = { ...(await findLayout()), serviceKeysFolder, tlsFolder };
    if (tlsFolder !== undefined) await loadCertificates(tlsFilesOf('operator', tlsFolder));
    const redisOptions = options.redisOptions?.(layout.redis.port) ?? {};
    const suite = new Suite(layout, await mkdtemp(join(tmpdir(), 'messaging-suite-')), redisOptions);
    try {
      if (options.redis !== 'none') await suite.redis.start();
      const names = options.processes ?? suiteProcesses.map((process) => process.name);
      const plan = await suite.#planReplicas(options.replicas ?? {});
      const environmentFor = async (name: ProcessName) => ({
        // All tests sign up from one address.
        ...(options.serviceKeysFolder !== undefined && { AUTH_MODE: 'required', SIGN_UPS_PER_HOUR: '0' }),
        ...suite.#replicaEnvironment(plan),
        ...(options.metrics && { METRICS_PORT: await suite.#findMetricsPort(name) }),
        ...options.environment,
        ...options.processEnvironment?.[name],
      });
      for (const name of names) suite.startProcess(name, await environmentFor(name));
      for (const replica of plan) suite.#startReplica(replica, await environmentFor(replica.name));
    } catch (error) {
      await suite.stop().catch(() => {});
      throw error;
    }
    return suite;
  }

  /** Starts a process that was left out at first. */
  startProcess(name: ProcessName, environment: Record<string, string> = {}): RunningProcess {
    if (this.#processes.has(name)) throw new Error(`${name} was started before: restart it`);
    const running = this.#run(name, environment);
    this.#processes.set(name, running);
    return running;
  }

  /** A replica of a process, the second unless told. @throws when there is none. */
  replica(name: ProcessName, number = 2): RunningProcess {
    const running = number === 1 ? this.#processes.get(name) : this.#findReplica(name, number)?.running;
    if (!running) throw new Error(`${name} has no replica ${number} in this suite`);
    return running;
  }

  /** `host:port` of every process, where it has so many of the replica with that number, 2 for the second. */
  addressesOf(number: number): Addresses {
    return forEveryProcess(({ name }) => this.#findReplica(name, number)?.address ?? this.addresses[name]);
  }

  /** `host:port` where each replica of a process tells its metrics. */
  metricsAddresses(name: ProcessName): readonly string[] {
    return this.#metricsAddresses.get(name) ?? [];
  }

  /** @throws when it was not started. */
  process(name: ProcessName): RunningProcess {
    const running = this.#processes.get(name);
    if (!running) throw new Error(`${name} was not started in this suite`);
    return running;
  }

  /** Every process that was started, replicas included. */
  get running(): RunningProcess[] {
    return [...this.#processes.values(), ...this.#replicas.map(({ running }) => running)];
  }

  /**
   * Waits until every process that was started answers its health check.
   *
   * @throws when one takes too long or exits, with the output of all.
   */
  async waitUntilReady(timeoutMs = 30_000): Promise<void> {
    try {
      const all = [
        ...[...this.#processes].map(([name, running]) => ({ name, running, address: this.addresses[name] })),
        ...this.#replicas,
      ];
      await Promise.all(
        all.map(({ name, running, address }) =>
          Promise.race([
            waitUntilServing(name, address, timeoutMs),
            running.exited.then(({ code, signal }) => {
              throw new Error(`${name} exited (${signal ?? code})`);
            }),
          ]),
        ),
      );
    } catch (error) {
      throw new Error(`The suite did not become ready. ${this.#describeOutput()}`, { cause: error });
    }
  }

  /**
   * Stops everything, Redis last.
   *
   * @throws when a process that still ran does not exit with 0.
   */
  async stop(): Promise<void> {
    const exits = await Promise.all(
      this.running
        .filter(({ isRunning }) => isRunning)
        .map(async (process) => {
          process.kill('SIGCONT');
          process.kill('SIGTERM');
          return { name: process.name, ...(await process.exited) };
        }),
    );
    await this.redis.stop();
    await rm(this.folder, { recursive: true });

    const unclean = exits.filter(({ code }) => code !== 0);
    if (unclean.length === 0) return;
    const list = unclean.map(({ name, code, signal }) => `${name} (${signal ?? code})`).join(', ');
    throw new Error(`Did not exit with 0: ${list}. ${this.#describeOutput()}`);
  }

  #run(name: ProcessName, environment: Record<string, string>): RunningProcess {
    const suiteProcess = findProcess(name);
    return new RunningProcess(name, entryFile(suiteProcess), {
      cwd: ROOT_FOLDER,
      environment: {
        LOG_LEVEL: 'warn',
        BCRYPT_COST: '10',
        ...environmentOf(suiteProcess, this.layout),
        ...environment,
      },
    });
  }

  async #planReplicas(counts: Partial<Record<ProcessName, number>>): Promise<PlannedReplica[]> {
    const more = suiteProcesses.flatMap(({ name }) =>
      Array.from({ length: (counts[name] ?? 1) - 1 }, (_, index) => ({ name, number: index + 2 })),
    );
    const ports = await findFreePorts(more.length);
    return more.map((replica) => ({ ...replica, port: ports.pop() ?? 0 }));
  }

  /** Tells every process of all gRPC replicas of its peers. */
  #replicaEnvironment(plan: readonly PlannedReplica[]): Record<string, string> {
    return peerEnvironment((name) => {
      const more = plan.filter((replica) => replica.name === name && findProcess(name).door === 'grpc');
      return [this.addresses[name], ...more.map(({ port }) => `${this.layout.host}:${port}`)].join(',');
    });
  }

  async #findMetricsPort(name: ProcessName): Promise<string> {
    const port = String(await findFreePort());
    const known = this.#metricsAddresses.get(name) ?? [];
    this.#metricsAddresses.set(name, [...known, `${this.layout.host}:${port}`]);
    return port;
  }

  #startReplica({ name, number, port }: PlannedReplica, environment: Record<string, string>): void {
    const ports = { GRPC_PORT: String(port), REST_PORT: String(port) };
    const running = this.#run(name, { ...environment, ...ports });
    this.#replicas.push({ name, number, running, address: `${this.layout.host}:${port}` });
  }

  #findReplica(name: ProcessName, number: number): Replica | undefined {
    return this.#replicas.find((replica) => replica.name === name && replica.number === number);
  }

  #describeOutput(): string {
    const outputs = this.running.map(({ name, output }) => `--- ${name}\n${output}`);
    return `Output:\n${outputs.join('\n')}`;
  }
}

/** The Redis of a suite, which tests take away. What was acknowledged is there again after a new start. */
export class SuiteRedis {
  readonly host = '127.0.0.1';
  readonly #server: LocalRedis;

  constructor(
    readonly port: number,
    folder: string,
    options: Record<string, string> = {},
  ) {
    this.#server = new LocalRedis(port, folder, 'always', options);
    killAtExit(() => this.#server.signal('SIGKILL'));
  }

  /** Starts it, or starts it again with the data it had. */
  async start(): Promise<void> {
    await this.#server.start();
  }

  /** A crash. */
  async kill(): Promise<void> {
    this.#server.signal('SIGKILL');
    await this.#server.exited;
  }

  /** Makes it hang: connections stay open and nothing is answered. */
  pause(): void {
    this.#server.signal('SIGSTOP');
  }

  /** Ends a `pause`. */
  resume(): void {
    this.#server.signal('SIGCONT');
  }

  /** Stops it in order. */
  async stop(): Promise<void> {
    this.resume();
    await this.#server.stop();
  }
}

async function waitUntilServing(name: ProcessName, address: string, timeoutMs: number): Promise<void> {
  const process = findProcess(name);
  await waitFor(() => isHealthy(process, address), { what: `${name} is healthy`, timeoutMs });
  if (process.door !== 'grpc') return;
  // All channels to an address share a connection: a test that called while it was down would otherwise have to wait itself.
  const { credentials, options } = channelCredentials(process.service);
  const client = new Client(address, credentials, options);
  try {
    await promisify(client.waitForReady.bind(client))(Date.now() + timeoutMs);
  } finally {
    client.close();
  }
}

function findProcess(name: ProcessName) {
  const found = suiteProcesses.find((process) => process.name === name);
  if (!found) throw new Error(`There is no process ${name}`);
  return found;
}

/** Free ports for a whole suite. */
async function findLayout(): Promise<Layout> {
  const [redisPort = 0, ...free] = await findFreePorts(suiteProcesses.length + 1);
  return {
    host: '127.0.0.1',
    ports: forEveryProcess(() => free.pop() ?? 0),
    redis: { host: '127.0.0.1', port: redisPort },
  };
}
