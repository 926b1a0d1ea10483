import { z } from 'zod';
import { type Call, grpcCall, restCall } from './calls.js';
import { checkAnswers, checkStored } from './checks.js';
import { type Comparison, measureInRounds, type Measurements, type Target } from './measure.js';
import { chooseByName, type Options } from './options.js';
import type { Processes } from './processes.js';
import { messageService, userService } from './protos.js';
import { growthTable } from './report.js';
import { Seed } from './seed.js';
import { startSuite, type Suite } from './systems/suite.js';

const MEDIUM = 10_000;
const PAGE_SIZE = 50;
/** What a mailbox needs at least, for a whole page to be read. */
const SMALL = 100;
/** A list of notifications is always answered whole, so the longest are left out. */
const MOST_NOTIFICATIONS = 10_000;

type Pair = readonly [one: string, other: string];

/** Two users, and how much is between them. */
interface Mailbox {
  pair: Pair;
  messages: number;
  notifications: number;
}

/** Data of one size, and the suite that has it. */
interface Size {
  name: string;
  suite: Suite;
  /** What is read; sending to it makes it grow. */
  mailbox: Mailbox;
  /** What is written to: empty at first where what is read is small. */
  outgoing: Mailbox;
}

/** A call, for the users of a mailbox. */
interface Plan {
  name: string;
  inFlight: readonly number[];
  createCall: (mailbox: Mailbox) => Call;
  isSend?: true;
  /** Whether a size can make a difference to it; all can unless told. */
  isFor?: (size: Size) => boolean;
}

const listNotificationsAnswer = z.object({ notifications: z.array(z.unknown()) });
const listConversationsAnswer = z.object({ conversations: z.array(z.string()).length(1) });

/** What sends comes last: it lengthens what the others read. */
const plans: readonly Plan[] = [
  ...[false, true].map((newest_first) => ({
    name: `GetMessages, ${PAGE_SIZE} a page, ${newest_first ? 'newest' : 'oldest'} first`,
    inFlight: [16],
    createCall: ({ pair: [user_email] }: Mailbox) =>
      grpcCall(
        'message_service_grpc',
        messageService.GetMessages,
        { user_email, page_size: PAGE_SIZE, newest_first },
        ({ messages }) => messages.length === PAGE_SIZE,
      ),
  })),
  {
    name: 'GET /list_conversations',
    inFlight: [64],
    createCall: ({ pair: [email] }) =>
      restCall(
        'message_service_api',
        '/list_conversations',
        { email },
        (answer) => listConversationsAnswer.safeParse(answer).success,
      ),
  },
  {
    name: 'GET /list_notifications, as many as messages',
    inFlight: [16],
    createCall: ({ pair: [email], notifications }) =>
      restCall(
        'notification_service_api',
        '/list_notifications',
        { email },
        (answer) => listNotificationsAnswer.safeParse(answer).data?.notifications.length === notifications,
      ),
    isFor: ({ mailbox }) => mailbox.messages === mailbox.notifications,
  },
  {
    name: `ListUsersPage, ${PAGE_SIZE} a page`,
    inFlight: [16],
    createCall: () =>
      grpcCall(
        'user_service_grpc',
        userService.ListUsersPage,
        { page_size: PAGE_SIZE },
        ({ users }) => users.length === PAGE_SIZE,
      ),
    isFor: hasSmallMailbox,
  },
  {
    name: 'CheckUserExists',
    inFlight: [64],
    createCall: ({ pair: [email] }) =>
      grpcCall('user_service_grpc', userService.CheckUserExists, { email }, ({ exists }) => exists === true),
    isFor: hasSmallMailbox,
  },
  {
    name: 'SendMessage',
    inFlight: [64],
    isSend: true,
    createCall: ({ pair: [sender_email, receiver_email] }) =>
      grpcCall(
        'message_service_grpc',
        messageService.SendMessage,
        { message: { sender_email, receiver_email, content: 'Hello, how are you?' } },
        ({ success }) => success === true,
      ),
  },
];

function hasSmallMailbox({ mailbox }: Size): boolean {
  return mailbox.messages === SMALL;
}

/** Measures whether what a call costs depends on how much there is. */
export async function runGrowth(
  processes: Processes,
  options: Options,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<{ markdown: string; json: unknown }> {
  const chosen = chooseByName(plans, options.filter);
  const sizes = await startSizes(processes, options, signal, say);
  const measurements: Measurements[] = [];
  for (const plan of chosen) {
    const comparison = createComparison(plan, sizes, processes);
    measurements.push(...(await measureInRounds(comparison, options, signal, say)));
  }
  return {
    markdown: growthTable(
      measurements,
      sizes.map(({ name }) => name),
    ),
    json: { measurements },
  };
}

/** Two suites: one whose mailboxes differ, and one with many users. */
async function startSizes(
  processes: Processes,
  { largest, users }: Options,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Size[]> {
  const [empty, small, medium, large] = [
    createMailbox('empty', 0),
    createMailbox('small', SMALL),
    createMailbox('medium', MEDIUM),
    createMailbox('large', largest),
  ];
  const fill = (mailboxes: readonly Mailbox[], others: number) => async (seed: Seed) => {
    await seed.addUsers([
      ...mailboxes.flatMap(({ pair }) => pair),
      ...Array.from({ length: others }, (_, position) => `user-${position}@example.com`),
    ]);
    for (const { pair, messages, notifications } of mailboxes) {
      say(`seeding ${messages} messages and ${notifications} notifications`);
      await seed.addMessages(pair, messages);
      await seed.addNotifications([pair[1], pair[0]], notifications);
    }
  };

  const suite = await startSuite('suite', processes, signal, {
    seed: (redis) => Seed.run(redis, signal, fill([empty, small, medium, large], PAGE_SIZE)),
  });
  say(`seeding ${users} users`);
  const crowded = await startSuite('suite with many users', processes, signal, {
    seed: (redis) => Seed.run(redis, signal, fill([empty, small], users)),
  });
  return [
    { name: 'small', suite, mailbox: small, outgoing: empty },
    { name: `${MEDIUM.toLocaleString('en')} messages`, suite, mailbox: medium, outgoing: medium },
    { name: `${largest.toLocaleString('en')} messages`, suite, mailbox: large, outgoing: large },
    { name: `${users.toLocaleString('en')} users`, suite: crowded, mailbox: small, outgoing: empty },
  ];
}

function createMailbox(name: string, messages: number): Mailbox {
  return {
    pair: [`${name}-one@example.com`, `${name}-other@example.com`],
    messages,
    notifications: messages > MOST_NOTIFICATIONS ? 0 : messages,
  };
}

function createComparison(
  { name, inFlight, createCall, isSend, isFor }: Plan,
  sizes: readonly Size[],
  processes: Processes,
): Comparison {
  const targets = sizes
    .filter((size) => isFor?.(size) ?? true)
    .map(({ name: size, suite, mailbox, outgoing }): Target => {
      const call = createCall(isSend ? outgoing : mailbox);
      const address = suite.addresses[call.process];
      return {
        name: size,
        load: call.createLoad(address, processes.folder),
        processes: suite.processes,
        check: isSend
          ? checkStored(
              {
                messages: processes.connect(suite.redis, 1),
                notifications: processes.connect(suite.redis, 2),
              },
              outgoing.pair[1],
            )
          : checkAnswers(() => call.ask(address), call.isRight),
      };
    });
  return { name, inFlight, targets };
}
