import getPort from 'get-port';
import type { BenchRedis, Measured, Processes } from '../processes.js';

/** The plain port: the chain of SendMessage written the naive way, on a Redis that writes nothing to disk. */
export interface PlainPort {
  /** `host:port` of its MessageService. */
  address: string;
  redis: BenchRedis;
  processes: readonly Measured[];
}

/** Starts it, with these accounts. It is ready when a first call to it succeeds. */
export async function startPlainPort(processes: Processes, emails: readonly string[]): Promise<PlainPort> {
  const ports = await Promise.all(Array.from({ length: 5 }, () => getPort()));
  const [redisPort = 0, frontend = 0, notification = 0, user = 0, message = 0] = ports;
  const redis = await processes.startVolatileRedis('redis of the plain port', redisPort);
  const [accounts, subscriptions] = [processes.connect(redis, 0), processes.connect(redis, 2)];
  for (const email of emails) {
    await accounts.set(`users:${email}`, JSON.stringify({ email, name: email, password: '' }));
    await subscriptions.hset('subscriptions', email, JSON.stringify({ user_email: email, subscribed: true }));
  }

  const start = (service: string, port: number, peers: readonly number[]) =>
    processes.startNode(`${service} service of the plain port`, 'bench/dist/plain-port/plain-port.js', {
      args: [service, String(port), String(redisPort), ...peers.map((peer) => `127.0.0.1:${peer}`)],
    });
  return {
    address: `127.0.0.1:${message}`,
    redis,
    processes: [
      start('frontend', frontend, []),
      start('notification', notification, [frontend]),
      start('user', user, []),
      start('message', message, [user, notification]),
      redis,
    ],
  };
}
