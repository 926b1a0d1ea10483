import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Call, grpcCall, restCall } from '../calls.js';
import { checkAnswers } from '../checks.js';
import { type Post, Requests } from '../drivers/requests.js';
import { measureInRounds, type Measurements, type Target } from '../measure.js';
import { BenchError, type Options } from '../options.js';
import type { Processes } from '../processes.js';
import { messageService, notificationService, userService } from '../protos.js';
import { signIn } from '../sign-in.js';
import type { Suite } from '../systems/suite.js';
import { CONTENT_BYTES, PASSWORD, signUp } from './chain.js';

const READER = 'reader@example.com';
const FRIEND = 'friend@example.com';
const PAGE_SIZE = 50;
/** As many as a page of the inbox may ask at once. */
const READS_IN_FLIGHT = 16;
/** bcrypt is what takes the time; more would only queue. */
const LOG_INS_IN_FLIGHT = 4;

const PAGE = { page_size: PAGE_SIZE };

/** Those that the model needs to know by name. */
export const operationNames = {
  read: `GET /api/conversations/{email}/messages, ${PAGE_SIZE} a page`,
  markRead: 'MarkConversationRead',
  newToken: 'POST /token',
  logIn: 'AuthenticateUser',
} as const;
/** bcrypt needs no warming up; the rest of the process is warm by then. */
const FEW = 10;
const WARM_UP = 1_000;

/** One of the calls besides SendMessage that people's days are made of. */
interface Operation {
  name: string;
  inFlight: number;
  target: Target;
  warmUp?: number;
}

const messagesAnswer = z.object({ messages: z.array(z.unknown()).length(PAGE_SIZE) });
const session = z.object({ refresh_token: z.string() });

/** Measures the CPU time of each in turn. */
export async function measureOperations(
  suite: Suite,
  processes: Processes,
  options: Options,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Measurements[]> {
  const measured: Measurements[] = [];
  for (const { name, inFlight, target, warmUp } of await createOperations(suite, processes)) {
    const comparison = { name, inFlight: [inFlight], targets: [target] };
    const own = { ...options, 'warm-up': Math.min(warmUp ?? WARM_UP, options['warm-up']) };
    measured.push(...(await measureInRounds(comparison, own, signal, say)));
  }
  return measured;
}

async function createOperations(suite: Suite, processes: Processes): Promise<Operation[]> {
  const { addresses } = suite;
  await signUp(suite, READER);
  await signUp(suite, FRIEND);
  const send = grpcCall(
    'message_service_grpc',
    messageService.SendMessage,
    { message: { sender_email: FRIEND, receiver_email: READER, content: 'x'.repeat(CONTENT_BYTES) } },
    ({ success }) => success === true,
  );
  for (let sent = 0; sent < PAGE_SIZE; sent++) await send.ask(addresses.message_service_grpc);

  const byCall = (name: string, inFlight: number, call: Call): Operation => {
    const address = addresses[call.process];
    return {
      name,
      inFlight,
      target: {
        name: 'suite',
        load: call.createLoad(address, processes.folder),
        processes: suite.processes,
        check: checkAnswers(() => call.ask(address), call.isRight),
      },
    };
  };
  const byPost = (name: string, inFlight: number, make: (position: number) => Post): Operation => ({
    name,
    inFlight,
    target: { name: 'suite', load: new Requests(make), processes: suite.processes },
  });
  const users = `http://${addresses.user_service_api}`;
  const { refresh_token } = await beginSession(users);
  const run = randomUUID();
  return [
    byCall(
      `GetMessages, ${PAGE_SIZE} a page`,
      READS_IN_FLIGHT,
      grpcCall(
        'message_service_grpc',
        messageService.GetMessages,
        { user_email: READER, ...PAGE, newest_first: true },
        ({ messages }) => messages.length === PAGE_SIZE,
      ),
    ),
    byCall(
      `ListNotifications, ${PAGE_SIZE} a page`,
      READS_IN_FLIGHT,
      grpcCall(
        'notification_service_grpc',
        notificationService.ListNotifications,
        { email: READER, ...PAGE },
        ({ notifications }) => notifications.length === PAGE_SIZE,
      ),
    ),
    byCall(
      operationNames.markRead,
      READS_IN_FLIGHT,
      grpcCall(
        'message_service_grpc',
        messageService.MarkConversationRead,
        { user_email: READER, with_email: FRIEND },
        ({ success }) => success === true,
      ),
    ),
    byPost(operationNames.newToken, READS_IN_FLIGHT, () => ({
      url: `${users}/token`,
      body: { refresh_token },
      status: 200,
    })),
    byCall(
      operationNames.read,
      READS_IN_FLIGHT,
      restCall(
        'frontend_service_api',
        `/api/conversations/${FRIEND}/messages`,
        { page_size: String(PAGE_SIZE) },
        (answer) => messagesAnswer.safeParse(answer).success,
        await signIn(addresses.frontend_service_api, { email: READER, password: PASSWORD }),
      ),
    ),
    {
      ...byPost('POST /users', LOG_INS_IN_FLIGHT, (position) => ({
        url: `${users}/users`,
        body: { email: `${run}-${position}@example.com`, password: PASSWORD, name: 'Somebody' },
        status: 201,
      })),
      warmUp: FEW,
    },
    {
      ...byCall(operationNames.logIn, LOG_INS_IN_FLIGHT, createLogIn(READER)),
      warmUp: FEW,
    },
  ];
}

/** A log-in of an account that `signUp` has made. */
export function createLogIn(email: string): Call {
  return grpcCall(
    'user_service_grpc',
    userService.AuthenticateUser,
    { email, password: PASSWORD },
    ({ success }) => success === true,
  );
}

async function beginSession(users: string): Promise<z.output<typeof session>> {
  const response = await fetch(`${users}/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: READER, password: PASSWORD }),
  });
  if (response.status !== 201) throw new BenchError(`POST /sessions answered ${await response.text()}`);
  return session.parse(await response.json());
}
