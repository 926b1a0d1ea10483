import * as z from 'zod/mini';

// Its compiler would need `eval`, which the page's policy refuses.
z.config({ jitless: true });

export const userSchema = z.object({ email: z.string(), name: z.string() });

export const messageSchema = z.object({
  message_id: z.string(),
  sender_email: z.string(),
  receiver_email: z.string(),
  content: z.string(),
  timestamp: z.string(),
});

export const conversationSchema = z.object({
  email: z.string(),
  last_message: messageSchema,
  unread: z.number(),
});

export const notificationSchema = z.object({
  id: z.string(),
  sender_email: z.string(),
  timestamp: z.string(),
  read: z.boolean(),
});

/** A notification as an event has it: those that are shown live only have no id. */
export const liveNotificationSchema = z.object({
  id: z.optional(z.string()),
  sender_email: z.string(),
});

export const conversationPageSchema = z.object({
  conversations: z.array(conversationSchema),
  next_page_token: z.string(),
});

export const messagePageSchema = z.object({
  messages: z.array(messageSchema),
  next_page_token: z.string(),
});

export const notificationPageSchema = z.object({
  notifications: z.array(notificationSchema),
  unread: z.number(),
  next_page_token: z.string(),
});

export const sentMessageSchema = z.object({ message_id: z.string() });
export const subscriptionSchema = z.object({ subscribed: z.boolean() });
export const failureSchema = z.object({ message: z.string() });

export type User = z.infer<typeof userSchema>;
export type Message = z.infer<typeof messageSchema>;
export type Conversation = z.infer<typeof conversationSchema>;
export type LiveNotification = z.infer<typeof liveNotificationSchema>;
/** That someone wrote. The name leaves `Notification` to the browser. */
export type InboxNotification = z.infer<typeof notificationSchema>;
