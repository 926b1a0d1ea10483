/** A message between the user and another. */
export interface Message {
  message_id: string;
  sender_email: string;
  receiver_email: string;
  content: string;
  timestamp: string;
}

/** What the user and another have written to each other, in short. */
export interface Conversation {
  /** The other party. */
  email: string;
  last_message: Message;
  /** How many messages from the other party the user has not seen. */
  unread: number;
}

/** A message before it is sent. */
export interface NewMessage {
  senderEmail: string;
  receiverEmail: string;
  content: string;
  /** Chosen by the sender, so that a repeat of the same request is known again. */
  requestId: string | undefined;
}
