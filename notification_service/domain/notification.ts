import { requiredEmail } from '@messaging/service_kit/email';
import { z } from 'zod';

/** A notification as it is stored. Keys of other versions are kept. */
export const notificationRecord = z.looseObject({
  sender_email: z.string(),
  receiver_email: z.string(),
  timestamp: z.string(),
  read: z.boolean(),
  /** Counts the receiver's notifications, from 1. Records of older versions have none. */
  id: z.string().optional(),
  message_id: z.string().optional(),
});
export type NotificationRecord = z.output<typeof notificationRecord>;

/** How many notifications one command marks at the most, so that Redis is never held up for long. */
export const MAX_MARKED_AT_ONCE = 500;

const notificationId = z
  .string()
  .regex(/^\d{1,15}$/, 'must be the id of a notification, a decimal number')
  .transform(Number);

/** The id of a notification, as a caller gives it; an empty one counts as unset. */
export const optionalNotificationId = z.preprocess((id) => id || undefined, notificationId.optional());

/** Which of a user's notifications were seen, as a caller tells it. */
export const seenNotifications = z.object({
  email: requiredEmail,
  ids: z
    .array(notificationId)
    .max(MAX_MARKED_AT_ONCE, `must be ${MAX_MARKED_AT_ONCE} ids at the most`)
    .default([]),
  up_to_id: optionalNotificationId,
});

/** What others are told of a notification: not what other versions may have stored besides. */
export function describeNotification({
  sender_email,
  receiver_email,
  timestamp,
  read,
  id,
  message_id,
}: NotificationRecord) {
  return {
    sender_email,
    receiver_email,
    timestamp,
    read,
    ...(id === undefined ? {} : { id }),
    ...(message_id === undefined ? {} : { message_id }),
  };
}

/** A notification before it is stored, which gives it its id. */
export interface NewNotification {
  sender_email: string;
  receiver_email: string;
  timestamp: string;
  read: boolean;
  /** The message that caused it, for which it is stored once; undefined where none did. */
  message_id: string | undefined;
}
