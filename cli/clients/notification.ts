import { z } from 'zod';

const text = z.string().default('');

/** A notification, as the services tell of it. */
export const notification = z.object({
  id: text,
  sender_email: text,
  timestamp: text,
  read: z.boolean().default(false),
  message_id: text,
});
export type Notification = z.output<typeof notification>;
