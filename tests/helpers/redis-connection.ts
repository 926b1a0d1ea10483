import { createLogger } from '@messaging/service_kit/log';
import { RedisConnection } from '@messaging/service_kit/redis/connection';
import { waitFor } from './wait-for.js';

/** A connection as the services have it, once it is up; whoever asks for it stops it. */
export async function connectToRedis(
  { host, port }: { host: string; port: number },
  database: number,
): Promise<RedisConnection> {
  const config = { host, port, username: undefined, password: undefined, hasTls: false, timeoutMs: 5_000 };
  const connection = new RedisConnection(config, database, await createLogger('tests', 'silent', 'json'));
  connection.start();
  await waitFor(() => connection.isUp, { what: 'Redis is connected' });
  return connection;
}
