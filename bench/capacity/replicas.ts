import { cpus } from 'node:os';
import { Spread } from '../drivers/spread.js';
import { runTool } from '../drivers/tool.js';
import { measureInRounds, type Target } from '../measure.js';
import type { Options } from '../options.js';
import type { Processes } from '../processes.js';
import { startSuite, type Suite } from '../systems/suite.js';
import type { CpuMs } from '../usage.js';
import { Chain, signUp } from './chain.js';
import { netCpu } from './figures.js';
import { type ChainPoint, cpuAtLoad, predictLogIns, predictPerSecond, sumOf } from './model.js';
import { createLogIn } from './operations.js';

/** At each replica, or at all together. */
const IN_FLIGHT = 64;
const LOG_INS_IN_FLIGHT = 4;
const REPLICAS = [2, 3];

/** What the model said before a run, and what came of it. */
export interface Prediction {
  name: string;
  unit: 'messages' | 'log-ins';
  predicted: Expected;
  /** By round. */
  measured: Expected[];
}

/** How many come through in a second, and what each costs the suite. */
interface Expected {
  perSecond: number;
  cpuMs: number;
}

/** What the predictions are made from. */
export interface Known {
  chain: readonly ChainPoint[];
  logInCpuMs: number;
  idleCpuMsPerSecond: CpuMs;
}

type Tools = { options: Options; signal: AbortSignal; say: (line: string) => void };

/** Half of the cores for everything: should bear half as much. */
export async function checkHalfTheCores(
  suite: Suite,
  target: Target,
  known: Known,
  tools: Tools,
): Promise<Prediction> {
  const cores = cpus().length;
  const half = Math.ceil(cores / 2);
  const pids = [process.pid, ...suite.processes.map(({ pid }) => pid)];
  const pin = async (last: number) => {
    for (const pid of pids) await runTool('taskset', ['-acp', `0-${last}`, String(pid)], tools.signal);
  };
  await pin(half - 1);
  try {
    const predicted = predictMessages(known, { inFlight: IN_FLIGHT, coresShare: half / cores });
    return await check(
      {
        name: `1 of each, on ${half} of ${cores} cores, ${IN_FLIGHT} in flight`,
        unit: 'messages',
        predicted,
      },
      target,
      IN_FLIGHT,
      known,
      tools,
    );
  } finally {
    await pin(cores - 1);
  }
}

/** Several replicas of each gRPC process on the same cores. */
export async function checkReplicas(processes: Processes, known: Known, tools: Tools): Promise<Prediction[]> {
  const checked: Prediction[] = [];
  for (const replicas of REPLICAS) {
    const own = await processes.createOthers();
    try {
      tools.say(`starting ${replicas} of each`);
      const suite = await startSuite('suite', own, tools.signal, { replicas });
      const chain = await Chain.create(suite, own, tools.signal);
      try {
        for (const [position, inFlight] of [IN_FLIGHT, IN_FLIGHT * replicas].entries()) {
          const once = position === 0 ? tools : { ...tools, options: warm(tools.options) };
          const predicted = predictMessages(known, { inFlight, replicas });
          const name = `${replicas} of each, ${inFlight} in flight together`;
          const target = chain.createTarget(name);
          checked.push(await check({ name, unit: 'messages', predicted }, target, inFlight, known, once));
        }
      } finally {
        chain.close();
      }
      checked.push(await checkLogIns(suite, own, known, tools));
    } finally {
      await own.stop();
    }
  }
  return checked;
}

/** Log-ins, of which one process takes no more than its threads do: here replicas are what it takes. */
export async function checkLogIns(
  suite: Suite,
  processes: Processes,
  known: Known,
  tools: Tools,
): Promise<Prediction> {
  const email = 'someone@example.com';
  await signUp(suite, email);
  const addresses = suite.replicas.user_service_grpc;
  const cores = cpus().length;
  // As UserService's config.ts has it.
  const threads = Math.min(Math.max(cores - 1, 1), 3);
  const inFlight = LOG_INS_IN_FLIGHT * addresses.length;
  const perSecond = predictLogIns(known.logInCpuMs, { processes: addresses.length, threads, cores });
  const predicted = { perSecond, cpuMs: known.logInCpuMs };
  const target: Target = {
    name: 'log-ins',
    load: new Spread(addresses.map((address) => createLogIn(email).createLoad(address, processes.folder))),
    processes: suite.processes,
  };
  return check(
    { name: `${addresses.length} of user_service_grpc, ${inFlight} in flight`, unit: 'log-ins', predicted },
    target,
    inFlight,
    known,
    { ...tools, options: { ...tools.options, 'warm-up': inFlight } },
  );
}

function predictMessages(
  { chain }: Known,
  options: { inFlight: number; replicas?: number; coresShare?: number },
): Expected {
  const atEach = options.inFlight / (options.replicas ?? 1);
  return {
    perSecond: predictPerSecond(chain, options),
    cpuMs: sumOf(cpuAtLoad(chain, atEach, 'inFlight')),
  };
}

/** For processes that have just been under the same load. */
export function warm(options: Options): Options {
  return { ...options, 'warm-up': 1 };
}

/** The prediction is said before the run that it is about. */
async function check(
  prediction: Omit<Prediction, 'measured'>,
  target: Target,
  inFlight: number,
  known: Known,
  { options, signal, say }: Tools,
): Promise<Prediction> {
  const { name, unit, predicted } = prediction;
  say(
    `${name}: predicted are ${predicted.perSecond.toFixed(1)} ${unit} a second, ${predicted.cpuMs.toFixed(3)} ms of CPU each`,
  );
  const comparison = { name, inFlight: [inFlight], targets: [target] };
  const [measurements] = await measureInRounds(comparison, options, signal, say);
  const samples = measurements?.samples[target.name] ?? [];
  return {
    ...prediction,
    measured: samples.map((sample) => ({
      perSecond: sample.perSecond,
      cpuMs: sumOf(netCpu([sample], known.idleCpuMsPerSecond)),
    })),
  };
}
