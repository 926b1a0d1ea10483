import { setTimeout as sleep } from 'node:timers/promises';
import { measureInRounds, type Measurements } from '../measure.js';
import type { Options } from '../options.js';
import { readMemory } from '../proc.js';
import type { Processes } from '../processes.js';
import { describeRun } from '../report.js';
import { SERVICES, startSuite, type Suite } from '../systems/suite.js';
import { type CpuMs, watchCpu } from '../usage.js';
import { Chain } from './chain.js';
import { chainPointOf, figuresOf, netCpu } from './figures.js';
import type { Capacity, Sync } from './measured.js';
import { planFor } from './model.js';
import { measureOperations, operationNames } from './operations.js';
import { checkHalfTheCores, checkLogIns, checkReplicas, type Known, warm } from './replicas.js';
import { measureStorage } from './storage.js';
import { demands, TABLES, tablesOf } from './tables.js';
import { measureWatching } from './watching.js';

/** The places in the document. */
export const SECTIONS = ['machine', ...TABLES] as const;

const CHAIN_IN_FLIGHT = [1, 16, 64, 256];
const REDIS_IN_FLIGHT = [64, 256];
const IDLE_SECONDS = 5;

/** Measures what a message, what is stored, and a watcher cost, and checks what the model makes of it. */
export async function runCapacity(
  processes: Processes,
  options: Options,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<{ markdown: string; json: unknown; sections: Record<string, string> }> {
  const tools = { options, signal, say };
  const one = await measureOne(processes, tools);
  const predictions = [...one.predictions, ...(await checkReplicas(processes, one.known, tools))];
  const ownRedises = await measureOwnRedises(processes, tools);
  const storage = await measureStorage(processes, signal, say);
  // A round takes two minutes and a half, whatever a measurement takes.
  const watching = await measureWatching(processes, Math.ceil(options.rounds / 3), signal, say);
  const { chain, operations, idleCpuMsPerSecond, peakBytes } = one;
  const capacity: Capacity = {
    chain,
    idleCpuMsPerSecond,
    peakBytes,
    operations,
    ownRedises,
    storage,
    watching,
    predictions,
  };
  const figures = figuresOf(capacity);
  const plans = demands.map((demand) => planFor(demand, figures));
  const tables = tablesOf(capacity, figures, plans);
  const today = new Date().toISOString().slice(0, 10);
  const machine = `${today}: ${describeRun(options)}. Redis ${one.redisVersion}, h2load and wrk on the same machine.`;
  const sections: Record<(typeof SECTIONS)[number], string> = { machine, ...tables };
  return { markdown: Object.values(tables).join('\n\n'), sections, json: { ...capacity, figures, plans } };
}

type Tools = { options: Options; signal: AbortSignal; say: (line: string) => void };

/** One of each process, as by default. */
async function measureOne(processes: Processes, tools: Tools) {
  const { options, signal, say } = tools;
  const own = await processes.createOthers();
  try {
    const suite = await startSuite('suite', own, signal);
    await keepFiles(suite, own);
    const messages = await Chain.create(suite, own, signal);
    const target = messages.createTarget('suite');
    const comparison = {
      name: 'SendMessage until it is shown',
      inFlight: CHAIN_IN_FLIGHT,
      targets: [target],
    };
    const chain = await measureInRounds(comparison, options, signal, say);
    const readCpu = await watchCpu(suite.processes);
    await sleep(IDLE_SECONDS * 1_000, undefined, { signal });
    const idleCpuMsPerSecond = Object.fromEntries(
      Object.entries(await readCpu()).map(([name, ms]) => [name, ms / IDLE_SECONDS]),
    );
    const memory = await Promise.all(
      suite.processes.map(async ({ name, pid }): Promise<[string, number]> => [
        name,
        (await readMemory(pid)).peakRss,
      ]),
    );
    const operations = await measureOperations(suite, own, options, signal, say);
    const known = knownOf(chain, operations, idleCpuMsPerSecond);
    const predictions = [
      await checkHalfTheCores(suite, target, known, { ...tools, options: warm(options) }),
      await checkLogIns(suite, own, known, tools),
    ];
    messages.close();
    const server = await own.connect(suite.redis, 0).info('server');
    return {
      redisVersion: /^redis_version:(\S+)/m.exec(server)?.[1] ?? '',
      chain,
      operations,
      idleCpuMsPerSecond,
      peakBytes: Object.fromEntries(memory),
      known,
      predictions,
    };
  } finally {
    await own.stop();
  }
}

async function measureOwnRedises(
  processes: Processes,
  { options, signal, say }: Tools,
): Promise<Record<Sync, Measurements[]>> {
  const own = await processes.createOthers();
  try {
    say('starting a Redis for each service');
    const suite = await startSuite('suite', own, signal, { hasOwnRedises: true });
    await keepFiles(suite, own);
    const messages = await Chain.create(suite, own, signal);
    const measure = async (sync: Sync) => {
      for (const service of SERVICES) {
        await own.connect(suite.redisOf[service], 0).config('SET', 'appendfsync', sync);
      }
      const comparison = {
        name: `A Redis for each service, appendfsync ${sync}`,
        inFlight: REDIS_IN_FLIGHT,
        targets: [messages.createTarget('suite')],
      };
      return measureInRounds(comparison, sync === 'always' ? options : warm(options), signal, say);
    };
    const measured = { always: await measure('always'), everysec: await measure('everysec') };
    messages.close();
    return measured;
  } finally {
    await own.stop();
  }
}

/** No file is rewritten while it is measured what is written to it. */
async function keepFiles({ redisOf }: Suite, processes: Processes): Promise<void> {
  for (const service of SERVICES) {
    await processes.connect(redisOf[service], 0).config('SET', 'auto-aof-rewrite-percentage', '0');
  }
}

function knownOf(
  chain: readonly Measurements[],
  operations: readonly Measurements[],
  idleCpuMsPerSecond: CpuMs,
): Known {
  const logIns = operations.find(({ name }) => name === operationNames.logIn)?.samples['suite'] ?? [];
  return {
    idleCpuMsPerSecond,
    chain: chain.map((measurements) => chainPointOf(measurements, idleCpuMsPerSecond)),
    logInCpuMs: netCpu(logIns, idleCpuMsPerSecond)['user_service_grpc'] ?? NaN,
  };
}
