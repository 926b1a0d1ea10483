import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { SkipsFail } from './tests/helpers/skips-fail.js';
import { SlowFirst } from './tests/helpers/slow-first.js';

const shared = {
  globalSetup: 'tests/global-setup.ts',
  // A private suite is eight Node processes, which take seconds to boot on two busy cores.
  testTimeout: 60_000,
  hookTimeout: 60_000,
};

/** Those that a script of their folder runs, once it has started what they ask. */
const inContainers = ['tests/compose/**/*.test.ts', 'tests/swarm/**/*.test.ts'];

export default defineConfig({
  test: {
    // Most tests wait most of the time: for processes to start, to notice, to come back.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: SlowFirst },
    reporters: process.env['REQUIRE_ALL'] === '1' ? ['default', new SkipsFail()] : ['default'],
    projects: [
      { test: { ...shared, name: 'open', include: ['tests/**/*.test.ts'], exclude: inContainers } },
      // What callers rely on holds in the required mode as well, once they show who they are.
      { test: { ...shared, name: 'required', include: ['tests/contract/**/*.test.ts'] } },
      ...(process.env['SUITE'] === 'compose'
        ? [{ test: { ...shared, name: 'containers', include: inContainers } }]
        : []),
    ],
  },
});
