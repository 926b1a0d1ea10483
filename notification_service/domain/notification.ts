import { z } from 'zod';

/** A notification as it is stored. Keys of other versions are kept. */
export const notificationRecord = z.looseObject({
  sender_email: z.string(),
  receiver_email: z.string(),
  timestamp: z.string(),
  read: z.boolean(),
});
export type NotificationRecord = z.output<typeof notificationRecord>;
