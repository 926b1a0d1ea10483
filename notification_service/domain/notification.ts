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
