import { z } from 'zod';

/** Whether a user is notified, as it is stored. */
export const subscriptionRecord = z.object({ user_email: z.string(), subscribed: z.boolean() });
export type SubscriptionRecord = z.output<typeof subscriptionRecord>;
