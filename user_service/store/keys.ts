/** The keys of DB 0. */
export const key = {
  /** An account's JSON. */
  user: (email: string) => `users:${email}`,
  /** Sorted set of every email, all with score 0: lists accounts in order, a page at a time. */
  index: 'user_index',
  /** A session's JSON. */
  session: (id: string) => `session:${id}`,
  /** Sorted set of the ids of a user's sessions, by when they end. */
  sessionsOf: (email: string) => `sessions_of:${email}`,
  /** Stream of the sessions that were ended, as long as a token of theirs might be shown. */
  endedSessions: 'ended_sessions',
  /** Counts every time that somebody takes an address, or leaves one. */
  tenureCounter: 'tenure_counter',
  /** Hash of the tenure of every address, by email: the number of its account's beginning there. Older accounts have none. */
  tenures: 'tenures',
  /** Sorted set of the departures that concern an address, as JSON, by number, until all that is left there is cleared. */
  departing: (email: string) => `departing:${email}`,
  /** JSON of the keys that tokens are signed with. */
  tokenKeys: 'token_keys',
};
