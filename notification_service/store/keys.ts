export const key = {
  /** List of a user's notifications, newest at the head. */
  notifications: (email: string) => `notifications:${email}`,
  /** Hash of every subscription, by email. */
  subscriptions: 'subscriptions',
  /** The id of a user's last notification. */
  counter: (email: string) => `notification_counter:${email}`,
  /** Sorted set of the ids of the notifications that a user has not seen, by id. */
  unread: (email: string) => `unread_notifications:${email}`,
  /** Hash of the messages that a user was notified of, with the notification's id. */
  notified: (email: string) => `notified_messages:${email}`,
  /** The number of the tenure that an address is of: users come and go. */
  occupant: (email: string) => `occupant:${email}`,
  /** Hash of where users have gone who had an address: tenure → `{tenure there}:{email}`. */
  movedTo: (email: string) => `moved_to:${email}`,
  /** Hash of the tenures of an address that have ended and left something: tenure → the subscription. */
  departed: (email: string) => `departed:${email}`,
  /** What such a tenure has left: what the user's own keys held, by the part. */
  left: (part: string, email: string, tenure: string) => `departed_${part}:${email}:${tenure}`,
};
