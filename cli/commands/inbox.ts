import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError } from '@commander-js/extra-typings';
import { isTransient } from '@messaging/service_kit/errors';
import type { FrontendServiceClient } from '../clients/frontend-service.js';
import type { Notification } from '../clients/notification.js';
import type { Parent, Run } from '../command.js';
import { oneLine, type Output } from '../output.js';
import { newContext } from '../suite-clients.js';

const MAX_COUNT = 500;
const RETRY_MS = 500;

/** Adds `inbox`. */
export function addInboxCommand(parent: Parent, run: Run): void {
  parent
    .command('inbox')
    .description("show a user's latest notifications, the newest last")
    .argument('<email>')
    .option('-f, --follow', 'then show each as it comes, until Ctrl-C', false)
    .option('--unread', 'only those that are unread', false)
    .option('--count <number>', `how many at the most, up to ${MAX_COUNT}`, readCount, 20)
    .action(async (email, { follow, unread, count }) =>
      run(async (suite, output) => {
        const stop = new AbortController();
        // Before anything is shown: who has seen enough by then ends it in the same way.
        if (follow) stopOnSignals(stop);
        const service = await suite.notificationService();
        const listed = await service.listNotifications(email, { isUnreadOnly: unread, count }, newContext());
        for (const notification of listed.notifications.toReversed()) show(notification, output);
        if (follow)
          await followFrom(listed.lastId, email, await suite.frontendService(), output, stop.signal);
      }),
    );
}

function stopOnSignals(stop: AbortController): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
}

function readCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MAX_COUNT) return count;
  throw new InvalidArgumentError(`It is a whole number from 1 to ${MAX_COUNT}.`);
}

function show(notification: Notification, output: Output): void {
  const { id, sender_email, timestamp, read, message_id } = notification;
  const about = message_id === '' ? 'notified you' : `wrote message ${message_id}`;
  const text = `${timestamp}  ${sender_email} ${about}${read ? '' : '  (unread)'}`;
  output.say(oneLine(text), { id, sender_email, timestamp, read, message_id });
}

/** Shows what comes after a notification, each once, until the person has seen enough. It outlives FrontendService. */
async function followFrom(
  lastId: string,
  email: string,
  service: FrontendServiceClient,
  output: Output,
  stop: AbortSignal,
): Promise<void> {
  let seen = lastId;
  let isToldOf = false;
  while (!stop.aborted) {
    try {
      for await (const notification of service.watch(email, seen, stop)) {
        show(notification, output);
        if (notification.id !== '') seen = notification.id;
        isToldOf = false;
      }
    } catch (error) {
      if (stop.aborted) return;
      if (!isTransient(error) || !(error instanceof Error)) throw error;
      if (!isToldOf) output.warn(`${error.message}; what comes meanwhile is shown then`);
      isToldOf = true;
      await sleep(RETRY_MS, undefined, { signal: stop }).catch(() => {});
    }
  }
}
