import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT_FOLDER } from './suite.js';

// npm run soak -- --minutes 10 --seed 42: random faults under load, and nothing may be lost. The seed repeats them.
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } },
});

const child = spawn(
  process.execPath,
  [
    join(ROOT_FOLDER, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--config',
    'tests/soak/vitest.config.ts',
    '--root',
    '.',
  ],
  {
    cwd: ROOT_FOLDER,
    stdio: 'inherit',
    env: {
      ...process.env,
      SOAK_MINUTES: values.minutes,
      ...(values.seed === undefined ? {} : { SOAK_SEED: values.seed }),
    },
  },
);
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
