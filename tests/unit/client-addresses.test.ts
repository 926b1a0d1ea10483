import { AccessControl } from '@messaging/service_kit/access/access-control';
import { ClientAddresses } from '@messaging/service_kit/access/client-addresses';
import { createLogger } from '@messaging/service_kit/log';
import { createLocalJWKSet } from 'jose';
import { expect, test } from 'vitest';

const access = new AccessControl('user_service', undefined, await createLogger('tests', 'silent', 'json'));

/** Knows no tokens. */
const nobody = { findKey: createLocalJWKSet({ keys: [] }), checkSession: async () => {} };

const NONE: string[] = [];
const INSIDE = ['loopback', '10.0.0.0/8'];

test.each([
  ['the connection', NONE, '192.0.2.1', undefined, '192.0.2.1'],
  ['whatever is said of others, where no proxy is trusted', NONE, '192.0.2.1', '198.51.100.7', '192.0.2.1'],
  ['what a trusted proxy says', INSIDE, '10.1.2.3', '198.51.100.7', '198.51.100.7'],
  ['not what a caller has told a trusted proxy', INSIDE, '10.1.2.3', '1.1.1.1, 198.51.100.7', '198.51.100.7'],
  ['what a row of trusted proxies says', INSIDE, '127.0.0.1', '198.51.100.7, 10.9.9.9', '198.51.100.7'],
  ['the first proxy, where nobody is behind it', INSIDE, '10.1.2.3', undefined, '10.1.2.3'],
  ['an IPv4 address in IPv6', NONE, '::ffff:192.0.2.1', undefined, '192.0.2.1'],
  ['the network of an IPv6 address', NONE, '2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2::/64'],
  ['the network of a short one', NONE, '2001:db8::1', undefined, '2001:db8:0:0::/64'],
  ['a trusted IPv6 proxy', INSIDE, '::1', '2001:db8::7', '2001:db8:0:0::/64'],
  ['what is no address, as it is', INSIDE, '127.0.0.1', 'unknown', 'unknown'],
])('finds %s', async (_what, proxies, remoteAddress, forwardedFor, found) => {
  const clients = new ClientAddresses(access, proxies);
  const shown = { authorization: undefined, certifiedService: undefined };
  expect(await clients.find({ ...shown, remoteAddress, forwardedFor })).toBe(found);
});

test.each([
  ['of FrontendService vouches for whom it calls for', 'frontend_service', '198.51.100.7'],
  ['of another service does not', 'message_service', '192.0.2.1'],
  ['of whoever runs the suite has nothing counted', 'operator', undefined],
] as const)('a certificate %s', async (_what, certifiedService, found) => {
  const required = new AccessControl('user_service', nobody, await createLogger('tests', 'silent', 'json'));
  const clients = new ClientAddresses(required, NONE, 'frontend_service');
  const origin = { remoteAddress: '192.0.2.1', forwardedFor: '198.51.100.7' };
  expect(await clients.find({ ...origin, authorization: undefined, certifiedService })).toBe(found);
});
