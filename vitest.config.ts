import { defineConfig } from 'vitest/config';
import { SkipsFail } from './tests/helpers/skips-fail.js';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: 'tests/global-setup.ts',
    testTimeout: 30_000,
    // A private suite is eight Node processes, which take seconds to boot on two busy cores.
    hookTimeout: 60_000,
    reporters: process.env['REQUIRE_ALL'] === '1' ? ['default', new SkipsFail()] : ['default'],
  },
});
