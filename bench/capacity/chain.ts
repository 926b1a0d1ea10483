import { grpcCall } from '../calls.js';
import { type Check, checkStored, type PendingCheck } from '../checks.js';
import { EventWatchers } from '../drivers/event-watchers.js';
import type { Load } from '../drivers/load.js';
import { Spread } from '../drivers/spread.js';
import type { Watcher } from '../drivers/watchers.js';
import type { Target } from '../measure.js';
import { BenchError } from '../options.js';
import { readLoopbackBytes } from '../proc.js';
import type { Processes } from '../processes.js';
import { messageService } from '../protos.js';
import { readRedisState } from '../redis-state.js';
import { SERVICES, type Suite } from '../systems/suite.js';
import { waitUntil } from '../wait-until.js';

/** That of all accounts that `signUp` makes. */
export const PASSWORD = 'correct horse battery staple';
const SENDER = 'sender@example.com';
const RECEIVER = 'receiver@example.com';

/** What a message says in all measurements but those of its length. */
export const CONTENT_BYTES = 100;

/** Two accounts, one of whom watches in a browser what the other sends. */
export class Chain {
  private constructor(
    private readonly suite: Suite,
    private readonly processes: Processes,
    private readonly watchers: EventWatchers,
    private readonly watcher: Watcher,
  ) {}

  static async create(suite: Suite, processes: Processes, signal: AbortSignal): Promise<Chain> {
    await signUp(suite, SENDER);
    const watchers = new EventWatchers(suite.addresses.frontend_service_api);
    const watcher = await watchers.add(RECEIVER);
    await waitUntil('the receiver watches', async () => watcher.isServed, signal);
    return new Chain(suite, processes, watchers, watcher);
  }

  /** Ends the watch. */
  close(): void {
    this.watchers.close();
  }

  /** The chain of a message from its sender to the receiver's browser, at all replicas of MessageService. */
  createTarget(name: string): Target {
    const { suite, processes } = this;
    return {
      name,
      load: new Spread(
        suite.replicas.message_service_grpc.map((address) => createSends(address, processes.folder)),
      ),
      processes: suite.processes,
      check: this.#checkShown(),
      readMeters: this.#createMeters(),
    };
  }

  /** Stored, and shown to the receiver, each once. */
  #checkShown(): Check {
    const { suite, processes, watcher } = this;
    const stored = checkStored(
      {
        messages: processes.connect(suite.redisOf.message_service, 1),
        notifications: processes.connect(suite.redisOf.notification_service, 2),
      },
      RECEIVER,
    );
    return {
      begin: async (): Promise<PendingCheck> => {
        const pending = await stored.begin();
        watcher.arrivals.length = 0;
        return {
          settle: async (result, signal) => {
            await pending.settle?.(result, signal);
            await waitUntil(
              `${result.calls} notifications are shown`,
              async () => {
                if (watcher.failure !== undefined)
                  throw new BenchError(`the watch has ended: ${watcher.failure}`);
                return watcher.arrivals.length >= result.calls;
              },
              signal,
            );
          },
          verify: async ({ calls }) => {
            if (watcher.arrivals.length === calls) return;
            throw new BenchError(`${calls} messages were sent, and ${watcher.arrivals.length} shown`);
          },
        };
      },
    };
  }

  #createMeters(): () => Promise<Record<string, number>> {
    const { suite, processes } = this;
    const isShared = suite.redisOf.user_service === suite.redis;
    const clients = (isShared ? (['message_service'] as const) : SERVICES).map((service) => ({
      name: suite.redisOf[service].name,
      client: processes.connect(suite.redisOf[service], 0),
    }));
    return async () => {
      const states = await Promise.all(
        clients.map(async ({ name, client }) => {
          const state = await readRedisState(client);
          return Object.entries(state).map(([meter, value]): [string, number] => [
            `${name} ${meter}`,
            Number(value),
          ]);
        }),
      );
      return { ...Object.fromEntries(states.flat()), loopbackBytes: await readLoopbackBytes() };
    };
  }
}

function createSends(address: string, folder: string): Load {
  return grpcCall(
    'message_service_grpc',
    messageService.SendMessage,
    { message: { sender_email: SENDER, receiver_email: RECEIVER, content: 'x'.repeat(CONTENT_BYTES) } },
    ({ success }) => success === true,
  ).createLoad(address, folder);
}

/** @throws {BenchError} when there is no new account. */
export async function signUp({ addresses }: Suite, email: string): Promise<void> {
  const response = await fetch(`http://${addresses.user_service_api}/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password: PASSWORD, name: email }),
  });
  if (response.status !== 201) throw new BenchError(`POST /users answered ${await response.text()}`);
}
