import { AccessControl } from '@messaging/service_kit/access/access-control';
import { anyone } from '@messaging/service_kit/access/rules';
import { createLogger } from '@messaging/service_kit/log';

export { anyone };

const unasked = () => {
  throw new Error('In the open mode nobody is asked who they are');
};

/** The access control of a door in the open mode. */
export const openAccess = new AccessControl(
  'frontend_service',
  { mode: 'open', serviceKeyFile: undefined, serviceKeysFile: undefined },
  { findKey: unasked, checkSession: unasked },
  await createLogger('tests', 'silent', 'json'),
);
