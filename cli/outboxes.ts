/** The outboxes of the suite: where each is, and whose deliveries it holds. */
export const outboxes = [
  { stream: 'outbox:subscribe', database: 0, from: 'UserService', to: 'NotificationService' },
  { stream: 'outbox:notify', database: 1, from: 'MessageService', to: 'NotificationService' },
  { stream: 'outbox:push', database: 2, from: 'NotificationService', to: 'FrontendService' },
  {
    stream: 'outbox:departures',
    database: 0,
    from: 'UserService',
    to: 'MessageService and NotificationService',
  },
] as const;

export type OutboxName = (typeof outboxes)[number]['stream'];
