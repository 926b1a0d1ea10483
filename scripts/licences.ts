import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { ROOT_FOLDER } from './suite.js';

// Checks that what the images bring along is under licences which leave its users free, by npm's own list of it
// (`npm run sbom`). Fails where a licence is another, or missing.

const run = promisify(execFile);

/** All of them let anyone use and pass on the software, in whatever is built with it. */
const ALLOWED = ['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT'];

const licence = z.union([
  z.object({ license: z.object({ id: z.string() }) }).transform(({ license }) => license.id),
  z.object({ license: z.object({ name: z.string() }) }).transform(({ license }) => license.name),
  z.object({ expression: z.string() }).transform(({ expression }) => expression),
]);
/** The part of a CycloneDX document that is read here. */
const document = z.object({
  components: z.array(
    z.object({ name: z.string(), version: z.string(), licenses: z.array(licence).default([]) }),
  ),
});

async function main(): Promise<void> {
  const { stdout } = await run('npm', ['run', '--silent', 'sbom'], {
    cwd: ROOT_FOLDER,
    maxBuffer: 64 * 1024 * 1024,
  });
  const { components } = document.parse(JSON.parse(stdout));
  if (components.length === 0) throw new Error('npm lists no packages');
  const others = components.filter(
    ({ licenses }) => licenses.length === 0 || !licenses.every((name) => ALLOWED.includes(name)),
  );
  for (const { name, version, licenses } of others) {
    process.stderr.write(
      `${name}@${version} is under ${licenses.join(', ') || 'no licence that it names'}\n`,
    );
  }
  if (others.length > 0) process.exitCode = 1;
  else process.stdout.write(`${components.length} packages, each under one of ${ALLOWED.join(', ')}\n`);
}

await main();
