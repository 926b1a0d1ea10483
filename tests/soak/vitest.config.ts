import { defineConfig } from 'vitest/config';

/** The soak takes minutes, so `npm test` leaves it out: `npm run soak`. */
export default defineConfig({
  test: { include: ['tests/soak/*.soak.ts'], globalSetup: 'tests/global-setup.ts', reporters: ['default'] },
});
