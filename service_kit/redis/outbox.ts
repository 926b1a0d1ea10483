import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { toServiceError } from '../errors.js';
import type { Component } from '../lifecycle.js';
import type { Logger } from '../log.js';
import { deadLetters, outboxAgeSeconds, outboxDeliveries, outboxEntries } from '../metrics.js';
import type { RequestContext } from '../request.js';
import { type Span, type SpanOptions, tracing } from '../tracing.js';
import type { RedisConnection } from './connection.js';
import { defineScript } from './script.js';

/** One consumer group whose one consumer stands for every replica: whoever claims an idle entry delivers it. */
const GROUP = 'deliveries';

/** How long an entry is left to the process that wrote or claimed it. */
const CLAIM_AFTER_IDLE_MS = 2_000;
const POLL_INTERVAL_MS = 500;
const MAX_BACKOFF_MS = 10_000;
const BATCH_SIZE = 256;

/** Acknowledgements go out together: nothing waits for them, and an entry is left alone for longer than that. */
const ACKNOWLEDGE_AFTER_MS = 50;

/** How often an entry may be refused for good before it goes to the dead letters. */
const MAX_REFUSALS = 5;

/**
 * Lua for a script that stores something and enqueues what has to follow from it: `enqueue(stream, entry, ...)` writes
 * an entry and returns its id. What follows the entry are the fields that {@link originFields} makes; where they come as
 * {@link originText}, `fields_of(text)` has them.
 */
export const enqueueLua = `
  local function enqueue(stream, entry, ...)
    return redis.call('XADD', stream, '*', 'entry', entry, ...)
  end
  local function fields_of(text)
    if text ~= '' then return unpack(cjson.decode(text)) end
  end
`;

/** What is kept beside an entry of the request that it comes from: nothing of what there is not. */
export function originFields({ requestId }: Partial<RequestContext>): string[] {
  const fields = requestId === undefined ? [] : ['request_id', requestId];
  const traceparent = tracing?.traceparent;
  if (traceparent !== undefined) fields.push('traceparent', traceparent);
  return fields;
}

/** The same as one text; empty where there is nothing. */
export function originText(context: Partial<RequestContext>): string {
  const fields = originFields(context);
  return fields.length === 0 ? '' : JSON.stringify(fields);
}

/** What an outbox tells whoever counts. */
export interface OutboxEvents {
  /** How many entries were, and are removed. */
  delivered: [count: number];
  /** The receiver was away: the entry is tried again. */
  postponed: [];
  /** The entry was given up. */
  deadLettered: [];
}

/** What has to happen once more is stored, kept in the same Redis until it has. */
export interface OutboxOptions<Entry> {
  /** The stream's key. Dead letters are in a stream of that name with `:dead` behind it. */
  stream: string;
  entry: z.ZodType<Entry>;
  /** Delivers one entry. It may come again, also after a success, so the receiver has to know it again. */
  deliver: (entry: Entry, context: DeliveryContext) => Promise<void>;
}

/** What an entry brings along. */
export interface DeliveryContext extends RequestContext {
  /** Whether it is delivered by a relay, maybe long after it was enqueued. */
  readonly isRepeat: boolean;
}

/**
 * An outbox: entries are enqueued by the script that stores what they are about, delivered at once by the process
 * that enqueued them, and by the relay of any replica where that failed or the process died. An entry whose
 * receiver is away is tried for ever; one that is refused again and again, or can't be read, becomes a dead letter.
 */
export class Outbox<Entry> implements Component {
  readonly events = new EventEmitter<OutboxEvents>();
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly #refusals = new Map<string, number>();
  readonly #span: SpanOptions;
  #stateRead: Promise<OutboxState | undefined> | undefined;
  #acknowledgements: string[] = [];
  #isAcknowledging = false;
  #failuresInARow = 0;

  constructor(
    private readonly connection: RedisConnection,
    private readonly logger: Logger,
    private readonly options: OutboxOptions<Entry>,
  ) {
    this.#span = {
      name: `process ${options.stream}`,
      kind: 'consumer',
      attributes: {
        'messaging.system': 'redis',
        'messaging.operation.type': 'process',
        'messaging.operation.name': 'process',
        'messaging.destination.name': options.stream,
      },
    };
    this.#countFor(options.stream);
  }

  #countFor(stream: string): void {
    this.events.on('delivered', (count) => outboxDeliveries.inc({ stream, outcome: 'delivered' }, count));
    this.events.on('postponed', () => outboxDeliveries.inc({ stream, outcome: 'postponed' }));
    this.events.on('deadLettered', () => outboxDeliveries.inc({ stream, outcome: 'dead_lettered' }));
    outboxEntries.add({ stream }, async () => (await this.#readState())?.entries);
    outboxAgeSeconds.add({ stream }, async () => {
      const state = await this.#readState();
      return state && state.oldestAgeMs / 1_000;
    });
    deadLetters.add({ stream }, async () => (await this.#readState())?.deadLetters);
  }

  /** Undefined while Redis does not say. Asked for more than once in the same turn, it is read once. */
  #readState(): Promise<OutboxState | undefined> {
    this.#stateRead ??= readOutboxState(this.connection.run.bind(this.connection), this.options.stream).catch(
      () => undefined,
    );
    setImmediate(() => (this.#stateRead = undefined));
    return this.#stateRead;
  }

  /** Starts the relay. */
  start(): void {
    void this.#track(this.#relay());
  }

  /** Stops the relay and waits for the deliveries under way. What is left over is another process's work. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const patience = AbortSignal.timeout(graceMs);
    const drain = async () => {
      while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    };
    await Promise.race([drain(), once(patience, 'abort')]);
  }

  /** Delivers an entry that this process has just enqueued. Never fails: what is not delivered is left to a relay. */
  deliverNow(id: string, entry: Entry, requestId?: string): Promise<void> {
    return this.#track(this.#attempt({ id, entry, requestId, isRepeat: false }));
  }

  /** The same for an entry that nobody waits for: first goes out what is being answered now. */
  deliverSoon(id: string, entry: Entry, requestId?: string): void {
    setImmediate(() => void this.deliverNow(id, entry, requestId));
  }

  /** As `deliverNow`, but resolves after `waitMs` at the latest, though the delivery goes on. */
  async deliverWithin(waitMs: number, id: string, entry: Entry, requestId?: string): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      const deliver = async () => {
        await this.deliverNow(id, entry, requestId);
        clearTimeout(timer);
        resolve();
      };
      void deliver();
    });
  }

  async #relay(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const claimed = await this.#claim().catch((error: unknown) => {
        this.logger.debug({ err: error, stream: this.options.stream }, 'the relay could not claim');
        return [];
      });
      await Promise.all(claimed.map(async ([id, fields]) => this.#redeliver(id, fields)));
      if (claimed.length === BATCH_SIZE && this.#failuresInARow === 0) continue;
      await sleep(this.#delayMs(), undefined, { signal: this.#stopping.signal }).catch(() => {});
    }
  }

  /** Grows with every failure in a row, up to a bound, and varies so that replicas don't act in step. */
  #delayMs(): number {
    const backoffMs = Math.min(POLL_INTERVAL_MS * 2 ** Math.min(this.#failuresInARow, 10), MAX_BACKOFF_MS);
    return backoffMs * (0.5 + Math.random() / 2);
  }

  async #claim(): Promise<[id: string, fields: string[]][]> {
    return this.connection.run(claimScript, [this.options.stream], [CLAIM_AFTER_IDLE_MS, BATCH_SIZE]);
  }

  async #redeliver(id: string, fields: string[]): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const entry = this.#parse(fields);
    const { request_id: requestId, traceparent } = origin.parse(toRecord(fields));
    if (entry.success) await this.#attempt({ id, entry: entry.data, requestId, isRepeat: true }, traceparent);
    else await this.#bury({ id, requestId }, 'it can not be read');
  }

  #parse(fields: string[]) {
    const text = fields[0] === 'entry' ? (fields[1] ?? '') : '';
    return entryText.pipe(this.options.entry).safeParse(text);
  }

  /** @param parent the `traceparent` of the request that it comes from, where that is not the one under way */
  #attempt(delivery: Delivery<Entry>, parent?: string): Promise<void> {
    if (!tracing) return this.#deliver(delivery);
    return tracing.trace({ ...this.#span, parent }, (span) => this.#deliver(delivery, span));
  }

  async #deliver(delivery: Delivery<Entry>, span?: Span): Promise<void> {
    const { id, entry, requestId, isRepeat } = delivery;
    try {
      await this.options.deliver(entry, { deadline: Infinity, requestId, isRepeat });
      this.#failuresInARow = 0;
      this.#refusals.delete(id);
      this.#acknowledge(id);
    } catch (thrown) {
      const error = toServiceError(thrown);
      span?.fail(error.kind);
      if (error.kind === 'internal') await this.#refused(delivery, error);
      else this.#postponed(delivery, error);
    }
  }

  /** Has a delivered entry removed, soon. Should that fail, the entry is delivered again. */
  #acknowledge(id: string): void {
    this.#acknowledgements.push(id);
    if (this.#isAcknowledging) return;
    this.#isAcknowledging = true;
    void this.#track(this.#sendAcknowledgements());
  }

  async #sendAcknowledgements(): Promise<void> {
    await sleep(ACKNOWLEDGE_AFTER_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
    this.#isAcknowledging = false;
    while (this.#acknowledgements.length > 0) {
      const ids = this.#acknowledgements.splice(0, BATCH_SIZE);
      try {
        await this.connection.run(acknowledgeScript, [this.options.stream], ids);
        this.events.emit('delivered', ids.length);
      } catch (error) {
        this.logger.debug({ err: error, stream: this.options.stream }, 'deliveries were not acknowledged');
      }
    }
  }

  #postponed({ requestId }: Named, error: Error): void {
    // Said once an outage, at the level of an oddity; every further failure is a detail.
    const level = this.#failuresInARow++ === 0 ? 'warn' : 'debug';
    const { stream } = this.options;
    this.logger[level]({ err: error, stream, requestId }, 'a delivery failed; it is tried again');
    this.events.emit('postponed');
  }

  async #refused({ id, requestId }: Named, error: Error): Promise<void> {
    const { stream } = this.options;
    const count = (this.#refusals.get(id) ?? 0) + 1;
    this.#refusals.set(id, count);
    this.logger.debug({ err: error, stream, id, requestId, count }, 'a delivery was refused');
    if (count >= MAX_REFUSALS) await this.#bury({ id, requestId }, error.message);
  }

  async #bury({ id, requestId }: Named, reason: string): Promise<void> {
    const { stream } = this.options;
    try {
      await this.connection.run(buryScript, [stream, deadLettersOf(stream)], [id, reason]);
    } catch (error) {
      this.#postponed({ id, requestId }, error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#refusals.delete(id);
    this.logger.error({ stream, id, requestId, reason }, 'an entry was given up; it is in the dead letters');
    this.events.emit('deadLettered');
  }

  #track(work: Promise<void>): Promise<void> {
    this.#underWay.add(work);
    const forget = () => this.#underWay.delete(work);
    work.then(forget, forget);
    return work;
  }
}

/** An entry by its names: in the stream, and in the logs. */
interface Named {
  id: string;
  requestId: string | undefined;
}

interface Delivery<Entry> extends Named {
  entry: Entry;
  isRepeat: boolean;
}

const origin = z.object({ request_id: z.string().optional(), traceparent: z.string().optional() });

function toRecord(fields: string[]): Record<string, string> {
  const pairs = fields.flatMap((name, index) =>
    index % 2 === 0 ? [[name, fields[index + 1] ?? ''] as const] : [],
  );
  return Object.fromEntries(pairs);
}

/** What is in an outbox. */
export interface OutboxState {
  /** Entries that are still to be delivered. */
  entries: number;
  /** How long the oldest of them has waited; 0 where none does. */
  oldestAgeMs: number;
  deadLetters: number;
}

/** Reads what is in an outbox, of any process. */
export async function readOutboxState(run: RedisConnection['run'], stream: string): Promise<OutboxState> {
  const [entries, oldestAgeMs, dead] = await run(stateScript, [stream, deadLettersOf(stream)], []);
  return { entries, oldestAgeMs: Math.max(oldestAgeMs, 0), deadLetters: dead };
}

/** The stream of what was given up. */
export function deadLettersOf(stream: string): string {
  return `${stream}:dead`;
}

const entryText = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue('is not JSON');
    return z.NEVER;
  }
});

/**
 * Claims what nobody has worked on for a while: first what was claimed before, then what was not, in the order of the stream. All
 * of that is behind the last that was: an id is when its entry was written, and none that is younger is claimed.
 */
const claimScript = defineScript(
  'claim',
  z.array(z.tuple([z.string(), z.array(z.string())])),
  `
  local stream, idle_ms, count = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
  if redis.call('EXISTS', stream) == 0 then return {} end
  redis.pcall('XGROUP', 'CREATE', stream, '${GROUP}', '0')
  local claimed = redis.call('XAUTOCLAIM', stream, '${GROUP}', '${GROUP}', idle_ms, '0', 'COUNT', count)[2]
  if #claimed == count then return claimed end

  local last
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local is_ours = false
    for index = 1, #group, 2 do
      if group[index] == 'name' then is_ours = group[index + 1] == '${GROUP}' end
      if is_ours and group[index] == 'last-delivered-id' then last = group[index + 1] end
    end
  end
  local now = redis.call('TIME')
  local until_ms = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) - idle_ms)
  for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. last, until_ms, 'COUNT', count - #claimed)) do
    redis.call('XCLAIM', stream, '${GROUP}', '${GROUP}', 0, entry[1], 'FORCE', 'JUSTID', 'LASTID', entry[1])
    claimed[#claimed + 1] = entry
  end
  return claimed
  `,
);

const acknowledgeScript = defineScript(
  'acknowledge',
  z.number(),
  `
  redis.call('XACK', KEYS[1], '${GROUP}', unpack(ARGV))
  return redis.call('XDEL', KEYS[1], unpack(ARGV))
  `,
  { acknowledges: false },
);

/** An entry's id begins with when it was written, in milliseconds by the clock of Redis. */
const stateScript = defineScript(
  'readOutboxState',
  z.tuple([z.number(), z.number(), z.number()]),
  `
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  local now = redis.call('TIME')
  local age = oldest and now[1] * 1000 + math.floor(now[2] / 1000) - string.match(oldest[1], '^%d+') or 0
  return { redis.call('XLEN', KEYS[1]), age, redis.call('XLEN', KEYS[2]) }
  `,
  { acknowledges: false },
);

const buryScript = defineScript(
  'bury',
  z.number(),
  `
  local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
  if not found then return 0 end
  local copy = { 'XADD', KEYS[2], '*' }
  for _, field in ipairs(found[2]) do copy[#copy + 1] = field end
  copy[#copy + 1] = 'reason'
  copy[#copy + 1] = ARGV[2]
  redis.call(unpack(copy))
  redis.call('XACK', KEYS[1], '${GROUP}', ARGV[1])
  redis.call('XDEL', KEYS[1], ARGV[1])
  return 1
  `,
);
