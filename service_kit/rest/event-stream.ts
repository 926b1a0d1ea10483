import type { Request, Response } from 'express';
import { AnswerStream } from '../answer-stream.js';
import { tracing } from '../tracing.js';

const HEARTBEAT_MS = 15_000;
/** How long a browser waits before it connects again; spread, so that not all come at once after a restart. */
const RETRY_MS = { min: 500, max: 1_500 };

/** One event of a stream. */
export interface ServerSentEvent {
  /** What a browser's listeners are added for. */
  event: string;
  /** What the caller resumes after; without one it keeps the last that it got. */
  id?: string | undefined;
  /** Sent as JSON. */
  data: unknown;
  /** What brings it: the trace of that goes on to here. */
  traceparent?: string | undefined;
}

/** A function that resolves to the events that a caller is to be sent, until the signal is aborted. */
export type FindEvents = (signal: AbortSignal) => Promise<AsyncIterable<ServerSentEvent>>;

/**
 * Answers with server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): a heartbeat keeps the
 * connection known to be alive, a caller that takes nothing for long is cut off, and a stop ends the stream, so that
 * the caller connects again, elsewhere.
 *
 * @throws what `findEvents` throws before there is anything to send: that is an answer like any other.
 */
export async function sendEvents(
  request: Request,
  response: Response,
  drain: AbortSignal,
  findEvents: FindEvents,
  options: { slowCallerMs?: number } = {},
): Promise<void> {
  const answers = new AnswerStream(response, drain, options.slowCallerMs);
  let heartbeat: NodeJS.Timeout | undefined;
  try {
    const events = await findEvents(answers.signal);
    response.locals.isStream = true;
    response.set({
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      // Asks a proxy such as nginx to pass each event on at once.
      'X-Accel-Buffering': 'no',
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.write(`retry: ${Math.round(RETRY_MS.min + Math.random() * (RETRY_MS.max - RETRY_MS.min))}\n\n`);
    heartbeat = setInterval(() => response.writableNeedDrain || response.write(HEARTBEAT), HEARTBEAT_MS);
    await answers.send(events, (event) => {
      if (event.traceparent) noteSent(event);
      return response.write(format(event));
    });
    response.end();
  } catch (thrown) {
    if (!response.headersSent) throw answers.reason ?? thrown;
    // Ending it in order would let a caller that takes nothing hold on to it.
    if (answers.reason?.kind === 'tooMany') response.destroy();
    else response.end();
    if (!answers.signal.aborted) throw thrown;
  } finally {
    clearInterval(heartbeat);
    answers.end();
  }
}

/** Notes in its trace that an event is sent. */
function noteSent({ event, traceparent: parent }: ServerSentEvent): void {
  tracing?.begin({ name: `send event ${event}`, kind: 'producer', attributes: {}, parent }).end();
}

/** An event rather than a comment, which a page would not see: so it can tell a silent connection from a dead one. */
const HEARTBEAT = format({ event: 'heartbeat', data: {} });

function format({ event, id, data }: ServerSentEvent): string {
  const idLine = id === undefined ? '' : `id: ${id}\n`;
  // JSON has no line breaks of its own.
  return `event: ${event}\n${idLine}data: ${JSON.stringify(data)}\n\n`;
}
