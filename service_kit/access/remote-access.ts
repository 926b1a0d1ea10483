import type { AccessConfig } from '../config.js';
import type { Component } from '../lifecycle.js';
import type { Logger } from '../log.js';
import { RestPeer } from '../rest/peer.js';
import { AccessControl } from './access-control.js';
import { RemoteAuthority } from './authority.js';
import type { ServiceName } from './callers.js';

/** What a service that issues no tokens itself decides by. */
export interface RemoteAccess {
  access: AccessControl;
  /** What it needs running: nothing where nobody is asked who they are. */
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
  const peer = new RestPeer(
    'UserService (REST)',
    'user_service',
    config.userServiceRestAddress,
    config.peerTimeoutMs,
    logger,
  );
  const authority = new RemoteAuthority(peer, logger);
  const access = new AccessControl(name, config.access, authority, logger);
  return { access, components: access.isRequired ? [peer, authority] : [] };
}
