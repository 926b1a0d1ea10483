#!/usr/bin/env node
// What `npx suite` runs.
import { existsSync } from 'node:fs';

const main = new URL('./dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('suite: not built yet: run `npm run build`\n');
  process.exitCode = 1;
}
