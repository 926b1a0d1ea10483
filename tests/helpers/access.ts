import { AccessControl } from '@messaging/service_kit/access/access-control';
import { anyone } from '@messaging/service_kit/access/rules';
import { createLogger } from '@messaging/service_kit/log';

export { anyone };

/** The access control of a door in the open mode. */
export const openAccess = new AccessControl(
  'frontend_service',
  undefined,
  await createLogger('tests', 'silent', 'json'),
);
