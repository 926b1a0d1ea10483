import { Coalescer, type CoalescerOptions } from '@messaging/service_kit/coalescer';
import { expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.js';

/** A receiver whose answers the test gives out by hand. */
class Receiver {
  readonly batches: {
    items: string[];
    deadline: number;
    answer: (count?: number) => void;
    fail: () => void;
  }[] = [];

  readonly send = (items: string[], deadline: number): Promise<PromiseSettledResult<string>[]> =>
    new Promise((resolve, reject) => {
      this.batches.push({
        items,
        deadline,
        answer: (count = items.length) => resolve(items.slice(0, count).map(outcomeOf)),
        fail: () => reject(new Error('the batch failed')),
      });
    });

  get items() {
    return this.batches.map((batch) => batch.items);
  }
}

function outcomeOf(item: string): PromiseSettledResult<string> {
  return item.startsWith('bad')
    ? { status: 'rejected', reason: new Error(`${item} failed`) }
    : { status: 'fulfilled', value: `${item} done` };
}

function create(options: Partial<CoalescerOptions<string, string>> = {}) {
  const receiver = new Receiver();
  const coalescer = new Coalescer({
    name: 'The receiver',
    send: receiver.send,
    ...options,
  });
  return { receiver, ask: (item: string, deadline?: number) => coalescer.run(item, deadline) };
}

/** Until what runs now has run, and what has arrived by now is read: no timer. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
/** Until what follows from an answer has happened. */
const answered = () => new Promise<void>((resolve) => setImmediate(resolve));

test('a lone item goes out in the same turn', async () => {
  const { receiver, ask } = create();
  const answer = ask('a');
  await turn();
  expect(receiver.items).toEqual([['a']]);
  receiver.batches[0]?.answer();
  expect(await answer).toBe('a done');
});

test('what is asked by the next callback, before anything new has arrived, goes out with it', async () => {
  const { receiver, ask } = create();
  const answers = [ask('a')];
  process.nextTick(() => answers.push(ask('b')));
  await turn();
  expect(receiver.items).toEqual([['a', 'b']]);
  receiver.batches[0]?.answer();
  expect(await Promise.all(answers)).toEqual(['a done', 'b done']);
});

test('what is asked in one turn goes out together, in order, and each gets its own answer', async () => {
  const { receiver, ask } = create();
  const answers = Promise.all(['a', 'b', 'c'].map((item) => ask(item)));
  await turn();
  expect(receiver.items).toEqual([['a', 'b', 'c']]);
  receiver.batches[0]?.answer();
  expect(await answers).toEqual(['a done', 'b done', 'c done']);
});

test('what is worth it goes out in the midst of a turn, and the rest after it', async () => {
  const { receiver, ask } = create({ itemsSentAtOnce: 2, itemsWorthABatch: 1 });
  const answers = ['a', 'b', 'c'].map((item) => ask(item));
  expect(receiver.items).toEqual([['a', 'b']]);
  answers.push(ask('d'));
  expect(receiver.items).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  answers.push(ask('e'));
  await turn();
  expect(receiver.items).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  for (const batch of receiver.batches) batch.answer();
  expect(await Promise.all(answers)).toEqual(['a done', 'b done', 'c done', 'd done', 'e done']);
});

test('what is sent at once still waits where no more batches may be under way', async () => {
  const { receiver, ask } = create({ itemsSentAtOnce: 2, itemsWorthABatch: 1, maxBatchesInFlight: 1 });
  const answers = Promise.all(['a', 'b', 'c', 'd', 'e'].map((item) => ask(item)));
  await turn();
  expect(receiver.items).toEqual([['a', 'b']]);
  receiver.batches[0]?.answer();
  await answered();
  expect(receiver.items).toEqual([
    ['a', 'b'],
    ['c', 'd', 'e'],
  ]);
  receiver.batches[1]?.answer();
  expect(await answers).toEqual(['a done', 'b done', 'c done', 'd done', 'e done']);
});

test('what is asked while a batch is under way is the next batch', async () => {
  const { receiver, ask } = create();
  const asked: Promise<string>[] = [];
  for (const item of ['a', 'b', 'c']) {
    asked.push(ask(item));
    await turn();
  }
  expect(receiver.items).toEqual([['a']]);
  receiver.batches[0]?.answer();
  await answered();
  expect(receiver.items).toEqual([['a'], ['b', 'c']]);
  receiver.batches[1]?.answer();
  expect(await Promise.all(asked)).toEqual(['a done', 'b done', 'c done']);
});

test('batches that keep a distance are not sent as soon as one is answered, but for the first', async () => {
  const { receiver, ask } = create({ minIntervalMs: 500 });
  const answers = [ask('a')];
  await turn();
  expect(receiver.items).toEqual([['a']]);
  receiver.batches[0]?.answer();
  await answered();
  answers.push(ask('b'));
  await turn();
  await turn();
  expect(receiver.items).toEqual([['a']]);
  answers.push(ask('c'));
  await waitFor(() => receiver.batches.length > 1, { what: 'the next batch is sent' });
  expect(receiver.items).toEqual([['a'], ['b', 'c']]);
  receiver.batches[1]?.answer();
  expect(await Promise.all(answers)).toEqual(['a done', 'b done', 'c done']);
});

test('as many items as are worth a batch keep no distance', async () => {
  const { receiver, ask } = create({ minIntervalMs: 60_000, itemsWorthABatch: 2 });
  const answers = [ask('a')];
  await turn();
  receiver.batches[0]?.answer();
  await answered();
  answers.push(ask('b'), ask('c'));
  await turn();
  expect(receiver.items).toEqual([['a'], ['b', 'c']]);
  receiver.batches[1]?.answer();
  expect(await Promise.all(answers)).toEqual(['a done', 'b done', 'c done']);
});

test('a full batch does not wait for the one under way', async () => {
  const { receiver, ask } = create({ maxItems: 2 });
  const first = ask('a');
  await turn();
  const others = Promise.all(['b', 'c', 'd'].map((item) => ask(item)));
  await turn();
  expect(receiver.items).toEqual([['a'], ['b', 'c']]);
  receiver.batches[1]?.answer();
  await answered();
  expect(receiver.items).toEqual([['a'], ['b', 'c']]);
  receiver.batches[0]?.answer();
  await first;
  receiver.batches[2]?.answer();
  expect(await others).toEqual(['b done', 'c done', 'd done']);
});

test('a batch that hangs does not hold up the next for long', async () => {
  const { receiver, ask } = create();
  const hanging = ask('a');
  await turn();
  const next = ask('b');
  await waitFor(() => receiver.batches[1], { what: 'the next batch goes out' });
  receiver.batches[1]?.answer();
  expect(await next).toBe('b done');
  receiver.batches[0]?.answer();
  expect(await hanging).toBe('a done');
});

test('no more batches than may be are under way, and none has more items than may be', async () => {
  const { receiver, ask } = create({ maxItems: 2, maxBatchesInFlight: 2 });
  const answers = Promise.all(['a', 'b', 'c', 'd', 'e'].map((item) => ask(item)));
  await turn();
  expect(receiver.items).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  receiver.batches[0]?.answer();
  receiver.batches[1]?.answer();
  await answered();
  receiver.batches[2]?.answer();
  expect(await answers).toEqual(['a done', 'b done', 'c done', 'd done', 'e done']);
});

test('an item that fails, fails alone', async () => {
  const { receiver, ask } = create();
  const outcomes = Promise.allSettled(['a', 'bad', 'c'].map((item) => ask(item)));
  await turn();
  receiver.batches[0]?.answer();
  expect(await outcomes).toEqual([
    { status: 'fulfilled', value: 'a done' },
    { status: 'rejected', reason: new Error('bad failed') },
    { status: 'fulfilled', value: 'c done' },
  ]);
});

test('a batch that fails, fails for each of its items, and the next goes out', async () => {
  const { receiver, ask } = create();
  const first = Promise.allSettled([ask('a'), ask('b')]);
  await turn();
  const second = ask('c');
  receiver.batches[0]?.fail();
  const reason = new Error('the batch failed');
  expect(await first).toEqual([
    { status: 'rejected', reason },
    { status: 'rejected', reason },
  ]);
  receiver.batches[1]?.answer();
  expect(await second).toBe('c done');
});

test('a reply with too few answers fails for all: nobody can tell whose is missing', async () => {
  const { receiver, ask } = create();
  const outcomes = Promise.allSettled([ask('a'), ask('b')]);
  await turn();
  receiver.batches[0]?.answer(1);
  const reason = new Error('The receiver answered 1 of 2 items');
  expect(await outcomes).toEqual([
    { status: 'rejected', reason },
    { status: 'rejected', reason },
  ]);
});

test('a batch lasts until the last of its callers stops waiting', async () => {
  const { receiver, ask } = create();
  const [soon, later] = [Date.now() + 10_000, Date.now() + 20_000];
  const answers = Promise.all([ask('a', later), ask('b', soon)]);
  await turn();
  expect(receiver.batches[0]?.deadline).toBe(later);
  receiver.batches[0]?.answer();
  await answers;
});

test('an item whose turn comes after its deadline is not sent', async () => {
  const { receiver, ask } = create();
  const first = ask('a');
  await turn();
  const late = ask('late', Date.now());
  const inTime = ask('b', Date.now() + 60_000);
  receiver.batches[0]?.answer();
  await expect(late).rejects.toMatchObject({
    kind: 'tooSlow',
    message: 'The receiver did not answer in time; try again shortly',
  });
  expect(receiver.items).toEqual([['a'], ['b']]);
  receiver.batches[1]?.answer();
  expect(await Promise.all([first, inTime])).toEqual(['a done', 'b done']);
});

test('beyond a full queue an item is refused at once, and those in the queue are answered', async () => {
  const { receiver, ask } = create({ maxQueued: 2 });
  const first = ask('a');
  await turn();
  const queued = Promise.all([ask('b'), ask('c')]);
  await expect(ask('d')).rejects.toMatchObject({
    kind: 'tooMany',
    message: 'The receiver has too much to do; try again shortly',
  });
  expect(receiver.items).toEqual([['a']]);
  receiver.batches[0]?.answer();
  expect(await first).toBe('a done');
  receiver.batches[1]?.answer();
  expect(await queued).toEqual(['b done', 'c done']);
});

test('nothing is cached: the same question is asked again', async () => {
  const { receiver, ask } = create();
  for (const round of [0, 1]) {
    const answer = ask('a');
    await turn();
    receiver.batches[round]?.answer();
    await answer;
  }
  expect(receiver.items).toEqual([['a'], ['a']]);
});
