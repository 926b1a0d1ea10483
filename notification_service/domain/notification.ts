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
  /** Whether the receiver has deleted it: what is left then keeps the place of its id. */
  deleted: z.boolean().optional(),
  /** Whose the receiver's address was; only while it is to be shown, and where it is known. */
  receiver_tenure: z.string().optional(),
});
export type NotificationRecord = z.output<typeof notificationRecord>;

/** What FrontendService is still to take: a notification, or that the watches of an address are over. */
export const pendingPush = z.union([z.object({ ends_watches_of: z.string() }), notificationRecord]);
export type PendingPush = z.output<typeof pendingPush>;

/** Tells the two apart. */
export function endsWatches(push: PendingPush): push is { ends_watches_of: string } {
  return 'ends_watches_of' in push;
}

/** How many notifications one command marks or deletes at the most, so that Redis is never held up for long. */
export const MAX_CHANGED_AT_ONCE = 500;

export const notificationId = z
  .string()
  .regex(/^\d{1,15}$/, 'must be the id of a notification, a decimal number')
  .transform(Number);

/** The id of a notification, as a caller gives it; an empty one counts as unset. */
export const optionalNotificationId = z.preprocess((id) => id || undefined, notificationId.optional());

/** Which of a user's notifications are meant, as a caller tells it. */
export const chosenNotifications = z.object({
  email: requiredEmail,
  ids: z
    .array(notificationId)
    .max(MAX_CHANGED_AT_ONCE, `must be ${MAX_CHANGED_AT_ONCE} ids at the most`)
    .default([])
    .meta({ description: 'Those with these ids' }),
  up_to_id: optionalNotificationId.meta({ description: 'All up to this one' }),
  all: z.boolean().default(false).meta({ description: 'All that there are' }),
});

/** Which of a user's notifications are meant: those with these ids, all up to one, or all that there are. */
export interface NotificationChoice {
  ids: number[];
  upToId?: number | undefined;
  all?: boolean;
}

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
