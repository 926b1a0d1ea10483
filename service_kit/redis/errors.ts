/** Replies with which Redis refuses for now: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
const REFUSAL = /^(LOADING|READONLY|OOM|BUSY|MASTERDOWN|MISCONF|NOREPLICAS|TRYAGAIN|CLUSTERDOWN)\b/;

/** What ioredis says of a command that found no connection, lost it, or waited too long for its reply. */
const LOST =
  /^(Command timed out|Command aborted due to connection close|Connection is closed|Stream isn't writeable|Reached the max retries per request limit)/;

/** Tells whether a command failed because Redis is away, hangs or refuses for now; else the fault is ours. */
export function isRedisUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'ReplyError') return REFUSAL.test(error.message);
  return LOST.test(error.message);
}
