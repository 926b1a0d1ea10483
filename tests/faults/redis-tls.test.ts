import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSelfSigned, openssl, redisTlsOptions } from '../helpers/certificates.js';
import { connect } from '../helpers/clients.js';
import { readGrpcHealth } from '@messaging/service_kit/grpc/probe';
import { isRestReady } from '@messaging/service_kit/rest/probe';
import { Suite } from '../helpers/suite.js';
import { waitFor } from '../helpers/wait-for.js';

describe.skipIf(openssl === undefined)('with REDIS_TLS', () => {
  let folder: string;
  let suite: Suite;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redis-tls-'));
    const files = await makeSelfSigned(folder);
    suite = await Suite.start({
      processes: ['user_service_api', 'notification_service_grpc'],
      environment: { REDIS_TLS: 'true' },
      processEnvironment: { user_service_api: { NODE_EXTRA_CA_CERTS: files.certFile } },
      redisOptions: (port) => redisTlsOptions(port, files),
    });
  });

  afterAll(async () => {
    await suite.stop();
    await rm(folder, { recursive: true });
  });

  test('a service stores over an encrypted connection', async () => {
    await waitFor(() => isRestReady('user_service', suite.addresses.user_service_api, 2_000), {
      what: 'UserService is ready',
    });
    const { rest, close } = connect(suite.addresses, suite.redis);
    const account = { email: 'alice@example.com', password: 'secret', name: 'Alice' };
    await rest.users().post('/users').send(account).expect(201);
    expect((await rest.users().get('/users/alice@example.com')).body).toMatchObject({
      user: { name: 'Alice' },
    });
    close();
  });

  test('a service that does not trust who signed the certificate does not talk to it', async () => {
    await waitFor(
      () => /could not connect to Redis/.test(suite.process('notification_service_grpc').output),
      { what: 'NotificationService says so' },
    );
    expect(suite.process('notification_service_grpc').output).toMatch(/self-signed certificate/);
    expect(
      await readGrpcHealth('notification_service', suite.addresses.notification_service_grpc, 2_000),
    ).toBe('NOT_SERVING');
  });
});
