import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { type ProcessName, Suite } from '../helpers/suite.js';

let suite: Suite;

afterEach(() => suite.stop());

async function startWith(name: ProcessName, environment: Record<string, string>) {
  suite = await Suite.start({ redis: 'none', processes: [name], environment });
  const process = suite.process(name);
  return { ...(await process.exited), output: process.output };
}

test.each([
  ['message_service_grpc', 'REDIS_PORT', 'six', 'REDIS_PORT=6379'],
  ['message_service_grpc', 'USER_SERVICE_ADDRESS', 'nowhere', 'USER_SERVICE_ADDRESS=user_service_grpc:9797'],
  ['user_service_api', 'BCRYPT_COST', '4', 'BCRYPT_COST=11'],
  ['user_service_api', 'BCRYPT_CONCURRENCY', '4', 'UV_THREADPOOL_SIZE=8'],
  ['user_service_grpc', 'SHUTDOWN_GRACE_MS', '-1', 'SHUTDOWN_GRACE_MS=8000'],
  ['notification_service_api', 'REST_PORT', '70000', 'REST_PORT=8282'],
  ['frontend_service_grpc', 'LOG_LEVEL', 'loud', 'LOG_LEVEL=info'],
] as const)(
  '%s with a bad %s stops with one line that shows a right one',
  async (name, variable, value, right) => {
    const { code, output } = await startWith(name, { [variable]: value });
    expect(code).toBe(1);
    expect(output.trim().split('\n')).toHaveLength(1);
    expect(output).toContain(`${name}: ${variable} is "${value}"`);
    expect(output).toContain(`for example ${right}`);
  },
);

test.each(['frontend_service_grpc', 'frontend_service_api'] as const)(
  '%s names a port that is taken',
  async (name) => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = String(typeof address === 'object' && address ? address.port : 0);
    try {
      const { code, output } = await startWith(name, { REST_PORT: port, GRPC_PORT: port });
      expect(code).toBe(1);
      expect(output).toContain(`127.0.0.1:${port}`);
      expect(output).toContain('the port is taken');
    } finally {
      other.close();
    }
  },
);
