import { text } from '@messaging/service_kit/input';
import { z } from 'zod';

export const MAX_CONTENT_BYTES = 64 * 1024;

/** The text of a message. */
export const messageContent = text
  .min(1, 'must not be empty')
  .refine(
    (value) => Buffer.byteLength(value) <= MAX_CONTENT_BYTES,
    `must be at most ${MAX_CONTENT_BYTES} bytes of UTF-8`,
  );

/** A message before it is stored. */
export interface NewMessage {
  senderEmail: string;
  receiverEmail: string;
  content: string;
  /** Chosen by the sender, so that a repeat of the same request is known again. */
  requestId: string | undefined;
}

/** The id that a caller may give a request: an empty one is none. */
export const requestId = z
  .string()
  .max(128, 'must be at most 128 characters')
  .transform((id) => id || undefined)
  .optional();

/** A message whose receiver is to be notified. */
export const pendingNotification = z.object({
  message_id: z.string(),
  sender_email: z.string(),
  receiver_email: z.string(),
  /** Whose the receiver's address was; empty where that is not known. */
  receiver_tenure: z.string().default(''),
});
export type PendingNotification = z.output<typeof pendingNotification>;

/** A message as it is stored. */
export const messageRecord = z.object({
  id: z.number(),
  sender_email: z.string(),
  receiver_email: z.string(),
  content: z.string(),
  timestamp: z.string(),
});
export type MessageRecord = z.output<typeof messageRecord>;

/** What a user and another have written to each other, in short. */
export interface Conversation {
  /** The other party. */
  email: string;
  lastMessage: MessageRecord | undefined;
  /** How many messages from the other party the user has not seen. */
  unread: number;
}

/** Which messages to list, and in which order. */
export interface MessageList {
  userEmail: string;
  /** Only those exchanged with this user. */
  withEmail: string | undefined;
  newestFirst: boolean;
}

/** The id of a message, as a caller gives it. */
export const messageId = z.string().regex(/^[1-9]\d{0,14}$/, 'must be the id of a message, a decimal number');

/** What others are told of a message. */
export function describeMessage({ id, ...message }: MessageRecord) {
  return { message_id: id.toString(), ...message };
}

/** What others are told of a conversation. */
export function describeConversation({ email, lastMessage, unread }: Conversation) {
  return { email, unread, ...(lastMessage && { last_message: describeMessage(lastMessage) }) };
}
