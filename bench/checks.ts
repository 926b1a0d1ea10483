import type { Redis } from 'ioredis';
import type { LoadResult } from './drivers/load.js';
import { BenchError } from './options.js';
import { waitUntil } from './wait-until.js';

/**
 * Makes sure that a measurement's calls did what they are for: to a driver, a call that failed with a gRPC status is
 * an answer like any other.
 */
export interface Check {
  /** Called before the load. */
  begin(): Promise<PendingCheck>;
}

/** What is called after the load. */
export interface PendingCheck {
  /** Resolves once all that follows from the calls is done, which is a part of what they cost. */
  settle?: (result: LoadResult, signal: AbortSignal) => Promise<void>;
  /** Looks at the result. */
  verify?: (result: LoadResult) => Promise<void>;
}

/** Counts what was stored: every call has to have left a notification, and a message where there is a counter. */
export function checkStored(
  { messages, notifications }: { messages?: Redis; notifications: Redis },
  receiver: string,
): Check {
  const countMessages = async () => Number((await messages?.get('message_id_counter')) ?? 0);
  const countNotifications = () => notifications.llen(`notifications:${receiver}`);
  return {
    begin: async () => {
      const [messagesBefore, notificationsBefore] = [await countMessages(), await countNotifications()];
      return {
        // What follows from a message may take longer than the answer; the next measurement must not pay for it.
        settle: async ({ calls }, signal) => {
          const stored = (await countMessages()) - messagesBefore;
          if (messages && stored !== calls) {
            throw new BenchError(`${calls} messages were sent, and ${stored} were stored`);
          }
          await waitUntil(
            `${calls} notifications of ${receiver} are stored`,
            async () => (await countNotifications()) - notificationsBefore === calls,
            signal,
          );
        },
      };
    },
  };
}

/** Makes one call before the load and one after it, and where bodies are counted, compares all answers' length. */
export function checkAnswers(ask: () => Promise<Buffer>, isRight: (answer: Buffer) => boolean): Check {
  const askChecked = async () => {
    const answer = await ask();
    if (!isRight(answer)) throw new BenchError(`a wrong answer: ${answer.toString().slice(0, 1_000)}`);
    return answer;
  };
  return {
    begin: async () => {
      const { length } = await askChecked();
      return {
        verify: async ({ calls, bodyBytes }) => {
          await askChecked();
          const expected = calls * (length + GRPC_PREFIX_BYTES);
          if (bodyBytes !== undefined && bodyBytes !== expected) {
            throw new BenchError(`${calls} answers are ${bodyBytes} bytes long together, not ${expected}`);
          }
        },
      };
    },
  };
}

const GRPC_PREFIX_BYTES = 5;
