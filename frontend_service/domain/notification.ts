import { z } from 'zod';

/** A notification on its way to the person it is for. */
export const notification = z.object({
  sender_email: z.string(),
  receiver_email: z.string(),
  timestamp: z.string(),
  read: z.boolean(),
  /** Counts the receiver's notifications, from 1 without a gap; missing where its sender did not give one. */
  id: z.string().exactOptional(),
  message_id: z.string().exactOptional(),
  /** What brings it, for the trace of that; missing while nothing is traced. */
  traceparent: z.string().exactOptional(),
});
export type Notification = z.output<typeof notification>;

/** Makes one of what a peer has sent, which may leave fields out. */
export function toNotification({
  sender_email = '',
  receiver_email = '',
  timestamp = '',
  read = false,
  ...ids
}: Partial<Notification>): Notification {
  return { sender_email, receiver_email, timestamp, read, ...ids };
}
