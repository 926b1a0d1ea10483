import type { AccessConfig } from '../config.js';
import type { Component, Dependency } from '../lifecycle.js';
import type { Logger } from '../log.js';
import { RestPeer } from '../rest/peer.js';
import { AccessControl } from './access-control.js';
import { RemoteAuthority } from './authority.js';
import type { ServiceName } from './callers.js';

/** What a service that issues no tokens itself decides by. */
export interface RemoteAccess {
  access: AccessControl;
  /** Whom it asks, for `/readyz`; nobody in the open mode. */
  peers: Dependency[];
  /** What it needs running. */
  components: Component[];
}

/**
 * Makes the access control of a service that takes the tokens of UserService.
 *
 * @param name the service that is called
 */
export function createRemoteAccess(
  name: ServiceName,
  config: { access: AccessConfig; userServiceRestAddress: string; peerTimeoutMs: number },
  logger: Logger,
): RemoteAccess {
  if (config.access.mode === 'open') {
    return { access: new AccessControl(name, undefined, logger), peers: [], components: [] };
  }
  const { userServiceRestAddress, peerTimeoutMs } = config;
  const peer = new RestPeer(
    'UserService (REST)',
    'user_service',
    userServiceRestAddress,
    peerTimeoutMs,
    logger,
  );
  const authority = new RemoteAuthority(peer, logger);
  return {
    access: new AccessControl(name, authority, logger),
    peers: [peer],
    components: [peer, authority],
  };
}
