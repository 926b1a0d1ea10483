import { pino, type Logger, type LoggerOptions } from 'pino';
import { ConfigError } from './config.js';
import { tracing } from './tracing.js';

export type { Logger };

/** A request that takes as long is worth a line at `info`. */
export const SLOW_REQUEST_MS = 1_000;

/** What may hold a secret, or what somebody wrote, is not logged by mistake either. */
const NEVER_LOGGED = [
  'args',
  'authorization',
  'body',
  'command',
  'content',
  'cookie',
  'hash',
  'headers',
  'password',
  'secret',
  'token',
];

/**
 * Creates a process's logger: one JSON object a line, or lines for people where `format` is `pretty`.
 *
 * Levels: `fatal` is the end of the process, `error` wants a person's attention, `warn` is an oddity that the process lives with,
 * `info` is a change in the life of the process, something its users are shown, or a request that failed or was slow, `debug` is
 * any other request, and what became of a single attempt. Nothing is logged at `trace`.
 *
 * Lines about a request bear its `requestId`, in every process that worked on it, and its `trace_id` and `span_id` where it is traced.
 *
 * @throws {ConfigError} when `pretty` is not installed.
 *
 * @NOTE Errors are logged without their own properties: ioredis puts a command's arguments there, which can be
 * a password's hash or a message's text.
 */
export async function createLogger(name: string, level: string, format: 'json' | 'pretty'): Promise<Logger> {
  const options: LoggerOptions = {
    level,
    base: { service: name },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: describeError },
    redact: NEVER_LOGGED,
    ...(tracing && { mixin: () => tracing?.logFields() ?? {} }),
  };
  // Written at once: what a killed process has shown, or complained of, is not lost with it.
  if (format === 'json') return pino(options, pino.destination({ sync: true }));

  // Not among the production dependencies: nobody reads a container's log line by line.
  const { default: pretty } = await import('pino-pretty').catch(() => {
    throw new ConfigError('LOG_FORMAT is "pretty": pino-pretty is not installed here, use LOG_FORMAT=json');
  });
  return pino(
    options,
    pretty({ sync: true, singleLine: true, ignore: 'pid,hostname,service', translateTime: 'SYS:HH:MM:ss.l' }),
  );
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = 'code' in error ? error.code : undefined;
  // Says what could not be read by quoting it.
  if (error instanceof SyntaxError)
    return { type: error.name, message: 'could not be read', code, stack: callsOf(error) };
  return { type: error.name, message: error.message, code, stack: error.stack };
}

/** The stack without the message that it begins with. */
function callsOf({ stack = '' }: Error): string {
  return stack.slice(Math.max(stack.indexOf('\n    at '), 0)).trim();
}
