import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: 'tests/global-setup.ts',
    testTimeout: 30_000,
    // A private suite is eight Node processes, which take seconds to boot on two busy cores.
    hookTimeout: 60_000,
  },
});
