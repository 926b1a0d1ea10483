import { setMaxListeners } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { inspect } from 'node:util';
import { RedisServerError } from '#scripts/redis-server';
import { runCapacity, SECTIONS } from './capacity/capacity.js';
import { runComparison } from './comparison.js';
import { checkSections, writeSections } from './document.js';
import { ensureTools } from './drivers/tool.js';
import { runGrowth } from './growth.js';
import { BenchError, HELP, type Options, readOptions } from './options.js';
import { Processes } from './processes.js';
import { describeRun } from './report.js';
import { runWatchers } from './watchers.js';

/** Progress goes to stderr, so that stdout is the tables alone. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function choosePart({ growth, watchers, capacity }: Options): Part {
  if (capacity) return runCapacity;
  if (watchers) return runWatchers;
  return growth ? runGrowth : runComparison;
}

type Part = (
  processes: Processes,
  options: Options,
  signal: AbortSignal,
  say: (line: string) => void,
) => Promise<{ markdown: string; json: unknown; sections?: Record<string, string> }>;

async function run(options: Options, stop: AbortController): Promise<void> {
  await ensureTools();
  if (options.into !== undefined) await checkSections(options.into, SECTIONS);
  const processes = await Processes.create(stop);
  try {
    const measureAll = choosePart(options);
    const { markdown, json, sections } = await measureAll(processes, options, stop.signal, say);
    const tables = `${describeRun(options)}\n\n${markdown}\n`;
    process.stdout.write(`\n${tables}`);
    if (options.markdown !== undefined) await writeFile(options.markdown, tables);
    if (options.into !== undefined) await writeSections(options.into, sections ?? {});
    if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(json, undefined, 2)}\n`);
  } finally {
    await processes.stop();
  }
}

async function main(): Promise<void> {
  const stop = new AbortController();
  // All that is under way listens to it, thousands of requests among them.
  setMaxListeners(0, stop.signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => stop.abort(new BenchError(`stopped by ${signal}`)));
  }
  try {
    const options = readOptions(process.argv.slice(2));
    if (options.help) process.stdout.write(HELP);
    else await run(options, stop);
  } catch (error) {
    process.exitCode = 1;
    // An abort shows up as an error of whatever was under way.
    const reason: unknown = stop.signal.aborted ? stop.signal.reason : error;
    const isForThePerson = reason instanceof BenchError || reason instanceof RedisServerError;
    say(`npm run bench: ${isForThePerson ? reason.message : inspect(reason)}`);
  }
}

await main();
