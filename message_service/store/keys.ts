export const key = {
  /** A message's JSON. */
  message: (id: string) => `message:${id}`,
  /** The last message's id. */
  counter: 'message_id_counter',
  /** Hash about the messages that went in one direction. */
  direction: (sender: string, receiver: string) => `conversation:${sender}:${receiver}`,
  /** Set of whom a user has exchanged messages with. */
  partners: (email: string) => `user:${email}:conversations`,
  /** Sorted set of the same, by the id of the last message exchanged. */
  recency: (email: string) => `recent_conversations:${email}`,
  /** Hash of how many messages from each other party a user has seen or will never see, by the other's email. */
  seen: (email: string) => `seen_messages:${email}`,
  /** Hash of the last message from each other party that a user has seen, by the other's email. */
  lastSeen: (email: string) => `last_seen_message:${email}`,
  /** Sorted set of the ids of the messages that a user sent or received, and has not deleted, by id. */
  mailbox: (email: string) => `mailbox:${email}`,
  /** Sorted set of the ids of the messages between two users, by id. */
  thread: (one: string, other: string) => key.inThread(...inOrder(one, other)),
  /** The same, for two emails in alphabetical order. */
  inThread: (first: string, second: string) => `thread:${first}:${second}`,
  /** What came of a request that its sender gave an id: `{fingerprint}:{message id}:{tenure of the sender}`. */
  request: (sender: string, requestId: string) => `request:${sender}:${requestId}`,
  /** Sorted set of the ids that a sender gave its requests, by the id of the message. */
  requests: (sender: string) => `requests_of:${sender}`,
  /** Whose an address is: `{tenure}:{id of the last message before it}`. */
  occupant: (email: string) => `occupant:${email}`,
  /** Hash of the tenures of an address that have ended and left something: tenure → id of the last message that may be theirs. */
  departed: (email: string) => `departed:${email}`,
  /** What such a tenure has left: what the user's own keys held, by the part. */
  left: (part: string, email: string, tenure: string) => `departed_${part}:${email}:${tenure}`,
};

function inOrder(one: string, other: string): [string, string] {
  return one < other ? [one, other] : [other, one];
}
