import { cpus } from 'node:os';
import { Spread } from '../drivers/spread.js';
import { runTool } from '../drivers/tool.js';
import { measureInRounds, spreadOf, type Target } from '../measure.js';
import type { Options } from '../options.js';
import type { Processes } from '../processes.js';
import { startSuite, type Suite } from '../systems/suite.js';
import { Chain, signUp } from './chain.js';
import { type ChainPoint, predictLogIns, predictPerSecond } from './model.js';
import { createLogIn } from './operations.js';

/** At each replica, or at all together. */
export const IN_FLIGHT = 64;
const LOG_INS_IN_FLIGHT = 4;
const REPLICAS = [2, 3];

/** What the model said before a run, and what came of it. */
export interface Prediction {
  name: string;
  unit: 'messages' | 'log-ins';
  predicted: number;
  /** A second, by round. */
  measured: number[];
}

/** What the predictions are made from. */
export interface Known {
  chain: readonly ChainPoint[];
  /** What a message costs the load generator, with {@link IN_FLIGHT} in flight. */
  loadCpuMs: number;
  logInCpuMs: number;
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
      const suite = await startSuite(`suite of ${replicas}`, own, tools.signal, { replicas });
      const chain = await Chain.create(suite, own, tools.signal);
      try {
        for (const [position, inFlight] of [IN_FLIGHT, IN_FLIGHT * replicas].entries()) {
          // The same processes are warm the second time.
          const once = position === 0 ? tools : { ...tools, options: { ...tools.options, 'warm-up': 1 } };
          const predicted = predictMessages(known, { inFlight: inFlight / replicas });
          const name = `${replicas} of each, ${inFlight} in flight together`;
          const target = chain.createTarget(name);
          checked.push(await check({ name, unit: 'messages', predicted }, target, inFlight, once));
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
  { logInCpuMs }: Known,
  tools: Tools,
): Promise<Prediction> {
  const email = 'someone@example.com';
  await signUp(suite, email);
  const addresses = suite.replicas.user_service_grpc;
  const cores = cpus().length;
  // As UserService's config.ts has it.
  const threads = Math.min(Math.max(cores - 1, 1), 3);
  const inFlight = LOG_INS_IN_FLIGHT * addresses.length;
  const predicted = predictLogIns(logInCpuMs, { processes: addresses.length, threads, cores });
  const target: Target = {
    name: 'log-ins',
    load: new Spread(addresses.map((address) => createLogIn(email).createLoad(address, processes.folder))),
    processes: suite.processes,
  };
  return check(
    { name: `${addresses.length} of user_service_grpc, ${inFlight} in flight`, unit: 'log-ins', predicted },
    target,
    inFlight,
    { ...tools, options: { ...tools.options, 'warm-up': inFlight } },
  );
}

function predictMessages(
  { chain, loadCpuMs }: Known,
  options: { inFlight: number; coresShare?: number },
): number {
  const reference = chain.find(({ inFlight }) => inFlight === IN_FLIGHT);
  if (!reference) throw new Error(`nothing was measured with ${IN_FLIGHT} in flight`);
  return predictPerSecond(chain, reference, { loadCpuMs, ...options });
}

/** The prediction is said before the run that it is about. */
async function check(
  prediction: Omit<Prediction, 'measured'>,
  target: Target,
  inFlight: number,
  { options, signal, say }: Tools,
): Promise<Prediction> {
  const { name, unit, predicted } = prediction;
  say(`${name}: predicted are ${predicted.toFixed(1)} ${unit} a second`);
  const [measurements] = await measureInRounds(
    { name, inFlight: [inFlight], targets: [target] },
    options,
    signal,
    say,
  );
  const measured = measurements?.samples[target.name]?.map(({ perSecond }) => perSecond) ?? [];
  const error = spreadOf(measured).median / predicted - 1;
  say(`${name}: ${(100 * error).toFixed(0)} % beside the prediction`);
  return { ...prediction, measured };
}
