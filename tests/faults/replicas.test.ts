import { expect, test } from 'vitest';
import { connect } from '../helpers/clients.js';
import { Suite } from '../helpers/suite.js';
import { Traffic } from '../helpers/traffic.js';
import { waitFor } from '../helpers/wait-for.js';

test('of two replicas of each gRPC process one is killed, and stays away', async () => {
  const replicated = await Suite.start({
    processes: [
      'user_service_api',
      'user_service_grpc',
      'message_service_grpc',
      'notification_service_grpc',
      'frontend_service_grpc',
    ],
    twice: [
      'user_service_grpc',
      'message_service_grpc',
      'notification_service_grpc',
      'frontend_service_grpc',
    ],
    environment: { PEER_TIMEOUT_MS: '1500' },
  });
  const survivor = connect(replicated.addresses, replicated.redis);
  const victim = connect({ ...replicated.addresses, ...replicated.replicaAddresses }, replicated.redis);
  const staying = new Traffic(survivor, 'staying');
  const leaving = new Traffic(survivor, 'leaving', victim);
  try {
    await replicated.waitUntilReady();
    await Promise.all([staying.start(), leaving.start()]);
    await Promise.all([staying.waitForMore(150), leaving.waitForMore(300)]);
    for (const name of [
      'message_service_grpc',
      'notification_service_grpc',
      'frontend_service_grpc',
      'user_service_grpc',
    ] as const) {
      replicated.replica(name).kill('SIGKILL');
      await replicated.replica(name).exited;
      await staying.waitForMore(50);
    }
    await leaving.expectNothingLost();
    await staying.expectNothingLost();
  } finally {
    await Promise.all([staying.end(), leaving.end()]);
    victim.close();
    survivor.close();
    await replicated.stop();
  }
}, 120_000);

test('of two replicas of each peer one after the other is stopped and started, and no message is refused', async () => {
  const peers = ['frontend_service_grpc', 'notification_service_grpc', 'user_service_grpc'] as const;
  const replicated = await Suite.start({
    processes: ['user_service_api', 'message_service_grpc', ...peers],
    twice: [...peers],
    environment: { LOG_LEVEL: 'debug' },
  });
  const clients = connect(replicated.addresses, replicated.redis);
  const traffic = new Traffic(clients, 'rolling');
  try {
    await replicated.waitUntilReady();
    await traffic.start();
    await traffic.waitForMore(100);
    for (const name of peers) {
      for (const process of [replicated.replica(name), replicated.process(name)]) {
        process.kill('SIGTERM');
        expect(await process.exited).toEqual({ code: 0, signal: null });
        await traffic.waitForMore(50);
        const earlier = process.output.length;
        await process.restart();
        await waitFor(() => process.output.slice(earlier).includes('answered'), {
          what: `${name} is used again`,
        });
      }
    }
    expect(traffic.refused).toEqual([]);
    await traffic.expectNothingLost();
  } finally {
    await traffic.end();
    clients.close();
    await replicated.stop();
  }
}, 120_000);
