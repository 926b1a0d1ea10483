import { z } from 'zod';

/** Those who can show that they are a service: the suite's own, and `operator` for whoever runs it. */
export const serviceName = z.enum([
  'user_service',
  'message_service',
  'notification_service',
  'frontend_service',
  'operator',
]);
export type ServiceName = z.output<typeof serviceName>;

/** A user who has shown a token. */
export interface UserCaller {
  kind: 'user';
  email: string;
  sessionId: string;
  /** When the token ends, in milliseconds since the epoch. */
  expiresAt: number;
}

/** A service that has shown a certificate, or a token of its own. */
export interface ServiceCaller {
  kind: 'service';
  name: ServiceName;
}

/** Who a call is from. */
export type Caller = UserCaller | ServiceCaller;
