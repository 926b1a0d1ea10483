import getPort from 'get-port';

/**
 * Below those that systems hand out by themselves: a connection that somebody opens in between takes none of these
 * (https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html, ip_local_port_range).
 */
const FIRST_PORT = 10_000;
const PORTS_A_WORKER = 2_000;
const WORKERS = 10;

/** Test files run side by side, each in a worker with a number: each has ports of its own. */
const firstOfWorker = FIRST_PORT + (Number(process.env['VITEST_POOL_ID'] ?? 0) % WORKERS) * PORTS_A_WORKER;

/** Runs that know nothing of each other hardly begin at the same one. */
let next = Math.floor(Math.random() * PORTS_A_WORKER);

/** Finds so many ports in a row that nobody listens on, and none of which was given out shortly before. */
export async function findFreePorts(count: number): Promise<number[]> {
  for (let tried = 0; tried < PORTS_A_WORKER; tried += count) {
    if (next + count > PORTS_A_WORKER) next = 0;
    const ports = Array.from({ length: count }, (_, index) => firstOfWorker + next + index);
    next += count;
    const found = await Promise.all(ports.map(async (port) => getPort({ port })));
    if (ports.every((port, index) => port === found[index])) return ports;
  }
  throw new Error(`There are no ${count} free ports in a row from ${firstOfWorker} on`);
}

/** Finds one. */
export async function findFreePort(): Promise<number> {
  const [port = 0] = await findFreePorts(1);
  return port;
}
