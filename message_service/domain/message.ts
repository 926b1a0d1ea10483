import { z } from 'zod';

export const MAX_CONTENT_BYTES = 64 * 1024;

/** The text of a message. */
export const messageContent = z
  .string()
  .min(1, 'must not be empty')
  .refine(
    (text) => Buffer.byteLength(text) <= MAX_CONTENT_BYTES,
    `must be at most ${MAX_CONTENT_BYTES} bytes of UTF-8`,
  );

/** A message before it is stored. */
export interface NewMessage {
  senderEmail: string;
  receiverEmail: string;
  content: string;
}

/** A message as it is stored. */
export const messageRecord = z.object({
  id: z.number(),
  sender_email: z.string(),
  receiver_email: z.string(),
  content: z.string(),
  timestamp: z.string(),
});
export type MessageRecord = z.output<typeof messageRecord>;

/** Which messages to list, and in which order. */
export interface MessageList {
  userEmail: string;
  /** Only those exchanged with this user. */
  withEmail: string | undefined;
  newestFirst: boolean;
}
