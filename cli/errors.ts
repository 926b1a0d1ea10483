import { ConfigError } from '@messaging/service_kit/config';
import { isTransient, ServiceError } from '@messaging/service_kit/errors';
import { isRedisUnavailable } from '@messaging/service_kit/redis/errors';
import { oneLine } from './output.js';

/** What the exit codes mean. Scripts rely on them. */
export const exitCodes = {
  done: 0,
  /** It was refused, or something is wrong with the suite. */
  refused: 1,
  /** The command, or a setting, is not understood. */
  misused: 2,
  /** A service or Redis can not be reached: the same may succeed later. */
  unreachable: 3,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** A command that could not be done. Its message is one line for the person at the terminal. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(
    message: string,
    readonly exitCode: ExitCode = exitCodes.refused,
  ) {
    super(message);
  }
}

/** Tells what is to be said of a failure, and which exit code it has. */
export function describeFailure(thrown: unknown): { message: string; exitCode: ExitCode } {
  if (thrown instanceof CommandError) return { message: oneLine(thrown.message), exitCode: thrown.exitCode };
  if (thrown instanceof ConfigError) return { message: oneLine(thrown.message), exitCode: exitCodes.misused };
  if (thrown instanceof ServiceError) {
    const exitCode = isTransient(thrown) ? exitCodes.unreachable : exitCodes.refused;
    return { message: oneLine(thrown.message), exitCode };
  }
  if (isRedisUnavailable(thrown)) {
    return { message: oneLine(`Redis does not answer (${String(thrown)})`), exitCode: exitCodes.unreachable };
  }
  // What Redis refuses is said in its own words. Anything else may hold what a stranger answered.
  const isReply = thrown instanceof Error && thrown.name === 'ReplyError';
  const message = oneLine(isReply ? thrown.message : String(thrown));
  return { message, exitCode: exitCodes.refused };
}
