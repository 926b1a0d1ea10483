import * as z from 'zod/mini';

/** Who is signed in. */
export const userSchema = z.object({ email: z.string(), name: z.string() });
export type User = z.output<typeof userSchema>;

export const messageSchema = z.object({
  message_id: z.string(),
  sender_email: z.string(),
  receiver_email: z.string(),
  content: z.string(),
  timestamp: z.string(),
});
export type Message = z.output<typeof messageSchema>;

export const conversationSchema = z.object({
  email: z.string(),
  last_message: messageSchema,
  unread: z.number(),
});
export type Conversation = z.output<typeof conversationSchema>;

export const notificationSchema = z.object({
  /** Missing where its sender gave none: such a one is only ever shown live. */
  id: z.optional(z.string()),
  sender_email: z.string(),
  timestamp: z.string(),
  read: z.boolean(),
});
export type Notification = z.output<typeof notificationSchema>;
