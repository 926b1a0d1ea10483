import { setMaxListeners } from 'node:events';
import type { Request, Response } from 'express';
import { AnswerStream } from '../answer-stream.js';

/** A stop does not end it. */
const never = new AbortController().signal;
setMaxListeners(0, never);

/** A function that resolves to the pieces of a JSON answer, until the signal is aborted. */
export type FindPieces = (signal: AbortSignal) => Promise<AsyncIterable<string>>;

/**
 * Answers with JSON that is written piece by piece, each once the caller has room for it: whatever its length, it takes no more
 * memory than a piece. What fails after the first piece breaks the connection, so that half an answer is never taken for
 * whole; a stop lets it end, as long as that waits for anything.
 *
 * @throws what fails before the first piece: that is an answer like any other.
 */
export async function sendPieces(
  request: Request,
  response: Response,
  findPieces: FindPieces,
  options: { slowCallerMs?: number } = {},
): Promise<void> {
  const answers = new AnswerStream(response, never, options.slowCallerMs);
  try {
    const pieces = (await findPieces(answers.signal))[Symbol.asyncIterator]();
    const first = await pieces.next();
    answers.signal.throwIfAborted();
    response.locals.isStream = true;
    response.type('json');
    if (request.method === 'HEAD') {
      await pieces.return?.();
      response.end();
      return;
    }
    await answers.send(resume(first, pieces), (piece) => response.write(piece));
    response.end();
  } catch (thrown) {
    if (!response.headersSent) throw answers.reason ?? thrown;
    response.destroy();
    if (!answers.signal.aborted) throw thrown;
  } finally {
    answers.end();
  }
}

/** Goes on with what was begun. */
async function* resume<Piece>(
  first: IteratorResult<Piece, unknown>,
  pieces: AsyncIterator<Piece, unknown>,
): AsyncGenerator<Piece, void> {
  try {
    for (let next = first; !next.done; next = await pieces.next()) yield next.value;
  } finally {
    await pieces.return?.();
  }
}
