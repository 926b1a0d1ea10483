import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { Suite } from '../helpers/suite.js';
import { isSubset, shownNotifications, Traffic } from '../helpers/traffic.js';
import { waitFor } from '../helpers/wait-for.js';

const minutes = Number(process.env['SOAK_MINUTES'] ?? 10);
const seed = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000);

/** Numbers from 0 to 1 by the mulberry32 method: the same seed gives the same faults. */
function createRandom(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const targets = [
  'user_service_grpc',
  'message_service_grpc',
  'notification_service_grpc',
  'frontend_service_grpc',
] as const;

test(
  `nothing is lost in ${minutes} minutes of random faults (seed ${seed})`,
  { timeout: (minutes + 5) * 60_000 },
  async () => {
    const random = createRandom(seed);
    const between = (min: number, max: number) => min + random() * (max - min);
    const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)];
    process.stdout.write(`soak: ${minutes} minutes, seed ${seed}\n`);

    const suite = await Suite.start({
      processes: ['user_service_api', ...targets],
      // In the end all of them are counted.
      environment: { REDIS_TIMEOUT_MS: '1000', PEER_TIMEOUT_MS: '1500', NOTIFICATIONS_KEPT: '10000000' },
      processEnvironment: { frontend_service_grpc: { LOG_LEVEL: 'info' } },
    });
    const clients = connect(suite.addresses, suite.redis);
    const traffic = new Traffic(clients, 'soaked');
    const counts: Record<string, number> = {};

    const faults = {
      kill: async () => {
        const name = pick(targets) ?? 'message_service_grpc';
        suite.process(name).kill('SIGKILL');
        await suite.process(name).exited;
        await sleep(between(0, 4_000));
        await suite.process(name).restart();
      },
      pause: async () => {
        const running = suite.process(pick(targets) ?? 'message_service_grpc');
        running.kill('SIGSTOP');
        await sleep(between(500, 5_000));
        running.kill('SIGCONT');
      },
      'kill Redis': async () => {
        await suite.redis.kill();
        await sleep(between(0, 2_000));
        await suite.redis.start();
      },
      'pause Redis': async () => {
        suite.redis.pause();
        await sleep(between(500, 5_000));
        suite.redis.resume();
      },
    };

    try {
      await suite.waitUntilReady();
      await traffic.start();
      const end = Date.now() + minutes * 60_000;
      while (Date.now() < end) {
        const name = pick(['kill', 'kill', 'kill', 'pause', 'kill Redis', 'pause Redis'] as const) ?? 'kill';
        counts[name] = (counts[name] ?? 0) + 1;
        await faults[name]();
        await sleep(between(1_000, 5_000));
      }
      await suite.waitUntilReady();
      await traffic.waitForMore(50);
      await traffic.expectNothingLost();
      const ids = await traffic.notificationIds();
      await waitFor(() => isSubset(ids, shownNotifications(suite)), {
        what: 'every notification is shown',
        timeoutMs: 60_000,
      });

      const faultList = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
      process.stdout.write(
        `soak: ${traffic.acknowledged.length} acknowledged, ${traffic.refused.length} refused, ${ids.length} stored and notified once; faults: ${faultList.join(', ')}; lost 0, doubled 0\n`,
      );
      expect(ids.length).toBeGreaterThanOrEqual(traffic.acknowledged.length);
    } finally {
      await traffic.end();
      clients.close();
      await suite.stop();
    }
  },
);
