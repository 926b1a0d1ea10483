import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { z } from 'zod';

/** What of OpenTelemetry a process has loaded that loads what all processes do, and then does this. */
function loadedBy(code: string): string[] {
  const script = `
    await import('@messaging/service_kit/lifecycle');
    await import('@messaging/service_kit/grpc/server');
    await import('@messaging/service_kit/rest/server');
    await import('@messaging/service_kit/redis/outbox');
    ${code}
    const loaded = Object.keys(process.getBuiltinModule('module')._cache);
    console.log(JSON.stringify(loaded.filter((path) => path.includes('opentelemetry'))));
    process.exit();
  `;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script]).toString();
  return z.array(z.string()).parse(JSON.parse(output));
}

test('while tracing is off, nothing of OpenTelemetry is loaded but its API', () => {
  // prom-client loads it, for a trace beside a value, which nobody asks it for.
  expect(loadedBy('').filter((file) => !file.includes('@opentelemetry/api/'))).toEqual([]);
});

test('once it is turned on, it is', () => {
  const on = `
    const { startTracing } = await import('@messaging/service_kit/tracing');
    await startTracing('tests', 'http/json');
  `;
  expect(loadedBy(on)).toContainEqual(expect.stringContaining('@opentelemetry/sdk-trace-node'));
});
