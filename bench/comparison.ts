import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Call, grpcCall, restCall } from './calls.js';
import { type Check, checkAnswers, checkStored } from './checks.js';
import { Beside } from './drivers/beside.js';
import { RedisPing } from './drivers/redis-benchmark.js';
import type { Load } from './drivers/load.js';
import type { Answers } from './floors/answers.js';
import { type Comparison, measureInRounds, type Measurements, type Target } from './measure.js';
import { watchMemory } from './memory.js';
import { BenchError, chooseByName, type Options } from './options.js';
import type { Processes } from './processes.js';
import { messageService, notificationService, userService } from './protos.js';
import { callsTable, comparisonTable, memoryTable } from './report.js';
import { type Floor, startExpressFloor, startGrpcFloor } from './systems/floors.js';
import { type PlainPort, startPlainPort } from './systems/plain-port.js';
import { startSuite, type Suite } from './systems/suite.js';

const PASSWORD = 'correct horse battery staple';
/** As long as Compose leaves a new process alone, and longer than anything takes to calm down after the start. */
const IDLE_AFTER_MS = 3_000;

/** Who writes to whom. Each pair is used for one purpose: what writes must not lengthen what is read. */
const email = {
  sender: 'sender@example.com',
  receiver: 'receiver@example.com',
  notified: 'notified@example.com',
  reader: 'reader@example.com',
  friend: 'friend@example.com',
};
const PAGE_SIZE = 50;

/** A call, and how it is measured. */
interface Plan {
  name: string;
  call: Call;
  inFlight: readonly number[];
  /** What a call leaves behind, where it is no read. */
  leaves?: 'message' | 'notification';
  /** What goes on meanwhile: then the suite is compared with itself, without. */
  beside?: { call: Call; inFlight: number };
}

const listNotificationsAnswer = z.object({ notifications: z.array(z.unknown()).length(PAGE_SIZE) });
const listConversationsAnswer = z.object({ conversations: z.tuple([z.literal(email.friend)]) });

const sendMessage = grpcCall(
  'message_service_grpc',
  messageService.SendMessage,
  {
    message: {
      sender_email: email.sender,
      receiver_email: email.receiver,
      content: 'Hello, how are you?',
    },
  },
  ({ success }) => success === true,
);
const logIn = grpcCall(
  'user_service_grpc',
  userService.AuthenticateUser,
  { email: email.sender, password: PASSWORD },
  ({ success }) => success === true,
);
const LOG_INS_IN_FLIGHT = 4;

const plans: readonly Plan[] = [
  { name: 'SendMessage', call: sendMessage, inFlight: [1, 16, 64, 256], leaves: 'message' },
  {
    name: `SendMessage beside ${LOG_INS_IN_FLIGHT} log-ins at a time`,
    call: sendMessage,
    inFlight: [1, 64],
    leaves: 'message',
    beside: { call: logIn, inFlight: LOG_INS_IN_FLIGHT },
  },
  {
    name: 'CheckUserExists',
    call: grpcCall(
      'user_service_grpc',
      userService.CheckUserExists,
      { email: email.sender },
      ({ exists }) => exists === true,
    ),
    inFlight: [64],
  },
  {
    name: 'CreateNotification',
    call: grpcCall(
      'notification_service_grpc',
      notificationService.CreateNotification,
      { sender_email: email.sender, receiver_email: email.notified },
      ({ success }) => success === true,
    ),
    inFlight: [64],
    leaves: 'notification',
  },
  {
    name: `GetMessages, ${PAGE_SIZE} a page`,
    call: grpcCall(
      'message_service_grpc',
      messageService.GetMessages,
      { user_email: email.reader, page_size: PAGE_SIZE },
      ({ messages }) => messages.length === PAGE_SIZE,
    ),
    inFlight: [16],
  },
  {
    name: `ListUsers, ${Object.keys(email).length} users`,
    call: grpcCall(
      'user_service_grpc',
      userService.ListUsers,
      {},
      ({ users }) => users.length === Object.keys(email).length,
    ),
    inFlight: [16],
  },
  {
    name: `GET /list_notifications, ${PAGE_SIZE} of them`,
    call: restCall(
      'notification_service_api',
      '/list_notifications',
      { email: email.reader },
      (answer) => listNotificationsAnswer.safeParse(answer).success,
    ),
    inFlight: [64],
  },
  {
    name: 'GET /list_conversations, one of them',
    call: restCall(
      'message_service_api',
      '/list_conversations',
      { email: email.reader },
      (answer) => listConversationsAnswer.safeParse(answer).success,
    ),
    inFlight: [64],
  },
  { name: 'AuthenticateUser', call: logIn, inFlight: [LOG_INS_IN_FLIGHT] },
];

/** Everything that is up at once. Only one of them is under load at a time. */
interface Systems {
  suite: Suite;
  plainPort: PlainPort;
  grpcFloor: Floor;
  expressFloor: Floor;
}

/** Measures the suite, the plain port and the floors. */
export async function runComparison(
  processes: Processes,
  options: Options,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<{ markdown: string; json: unknown }> {
  const chosen = chooseByName(plans, options.filter);
  say('starting the suite');
  const suite = await startSuite('suite', processes, signal);
  await sleep(IDLE_AFTER_MS, undefined, { signal });
  const readMemoryAgain = await watchMemory(suite.processes);
  await fillSuite(suite);
  say('starting the plain port and the floors');
  const answers = await recordAnswers(chosen, suite);
  const systems = {
    suite,
    plainPort: await startPlainPort(processes, Object.values(email)),
    grpcFloor: await startGrpcFloor(processes, answers.grpc),
    expressFloor: await startExpressFloor(processes, answers.rest),
  };
  await waitUntilAnswering(chosen, systems);

  const measurements: Measurements[] = [];
  for (const plan of chosen) {
    const comparison = createComparison(plan, systems, processes);
    measurements.push(...(await measureInRounds(comparison, options, signal, say)));
  }
  const memory = await readMemoryAgain();
  return {
    markdown: [
      callsTable(measurements, 'suite'),
      comparisonTable(measurements, ['suite', 'plain port']),
      comparisonTable(measurements, ['beside', 'alone']),
      memoryTable(memory),
    ]
      .filter((table) => table !== '')
      .join('\n\n'),
    json: { measurements, memory },
  };
}

/** Signs the users up, and gives one of them something to read. */
async function fillSuite({ addresses }: Suite): Promise<void> {
  for (const each of Object.values(email)) {
    const response = await fetch(`http://${addresses.user_service_api}/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: each, password: PASSWORD, name: each }),
    });
    if (response.status !== 201) throw new BenchError(`POST /users answered ${await response.text()}`);
  }
  const send = grpcCall(
    'message_service_grpc',
    messageService.SendMessage,
    { message: { sender_email: email.friend, receiver_email: email.reader, content: 'Hello, how are you?' } },
    ({ success }) => success === true,
  );
  for (let sent = 0; sent < PAGE_SIZE; sent++) await send.ask(addresses.message_service_grpc);
}

/** What the floors are to answer: the same as the suite. */
async function recordAnswers(
  chosen: readonly Plan[],
  { addresses }: Suite,
): Promise<{ grpc: Answers; rest: Answers }> {
  const answers: { grpc: Answers; rest: Answers } = { grpc: {}, rest: {} };
  for (const { name, call } of chosen) {
    const answer = await call.ask(addresses[call.process]);
    if (!call.isRight(answer)) throw new BenchError(`${name}: a wrong answer: ${answer.toString()}`);
    answers[call.door][call.path] = answer.toString(call.door === 'grpc' ? 'base64' : 'utf8');
  }
  return answers;
}

/** Programs that have no health check are up when they answer. */
async function waitUntilAnswering(
  chosen: readonly Plan[],
  { plainPort, grpcFloor, expressFloor }: Systems,
): Promise<void> {
  for (const { call, leaves } of chosen) {
    if (call.door === 'grpc') await call.ask(grpcFloor.address);
    else await retry(() => call.ask(expressFloor.address));
    // Which is up before those that it calls.
    if (leaves === 'message') await retry(() => call.ask(plainPort.address));
  }
}

async function retry(attempt: () => Promise<unknown>): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await sleep(50);
    }
  }
}

function createComparison(
  { name, call, inFlight, leaves, beside }: Plan,
  systems: Systems,
  processes: Processes,
): Comparison {
  const { suite, plainPort, grpcFloor, expressFloor } = systems;
  const { folder } = processes;
  const floor = call.door === 'grpc' ? grpcFloor : expressFloor;
  const answersOf = (address: string) => checkAnswers(() => call.ask(address), call.isRight);
  const storedIn = (redis: Suite['redis']): Check => {
    const notifications = processes.connect(redis, 2);
    return leaves === 'message'
      ? checkStored({ messages: processes.connect(redis, 1), notifications }, email.receiver)
      : checkStored({ notifications }, email.notified);
  };

  const suiteAddress = suite.addresses[call.process];
  const onSuite = (target: string, load: Load): Target => ({
    name: target,
    load,
    processes: suite.processes,
    check: leaves === undefined ? answersOf(suiteAddress) : storedIn(suite.redis),
  });
  const load = call.createLoad(suiteAddress, folder);
  if (beside) {
    const other = beside.call.createLoad(suite.addresses[beside.call.process], folder);
    const both = new Beside(load, other, beside.inFlight);
    return { name, inFlight, targets: [onSuite('beside', both), onSuite('alone', load)] };
  }
  const targets: Target[] = [
    onSuite('suite', load),
    {
      name: 'floor',
      load: call.createLoad(floor.address, folder),
      processes: floor.processes,
      check: answersOf(floor.address),
    },
    { name: 'ping', load: new RedisPing(suite.redis.port), processes: [suite.redis] },
  ];
  if (leaves === 'message') {
    targets.splice(1, 0, {
      name: 'plain port',
      load: call.createLoad(plainPort.address, folder),
      processes: plainPort.processes,
      check: storedIn(plainPort.redis),
    });
  }
  return { name, inFlight, targets };
}
