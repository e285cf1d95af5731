import { expect, it } from 'vitest';
import type { BatchGetRequest, BatchGetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { type Answer, miss, type PartAnswers, refused } from '../cache/answer.ts';
import { type LookupCall, LookupStream } from './lookup-stream.ts';
import { Turns } from './turns.ts';

/** A call whose reader decides how much it takes. */
class FakeCall implements LookupCall {
  readonly sent: BatchGetResponse[] = [];
  room = Number.POSITIVE_INFINITY;
  paused = false;
  ended = false;
  readonly #listeners = new Map<string, ((request: BatchGetRequest) => void)[]>();

  write(response: BatchGetResponse): boolean {
    this.sent.push(response);
    return this.sent.length < this.room;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }

  on(event: string, listener: (request: BatchGetRequest) => void): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  emit(event: string, request: BatchGetRequest = aBatch(0)): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(request);
  }
}

function aBatch(id: number, keys: string[] = ['k'], split = false): BatchGetRequest {
  const items = keys.map((key) => ({ namespace: 'ns', key, minToken: '', wantLease: false }));
  return { id, items, split, wantTags: false, refreshBelowMs: 0, traces: undefined };
}

const hit = (version: string): Answer => ({ ...miss('', 0), found: true, version });

/** Keys that begin with "far" wait to be let go; others are answered at once. */
function harness() {
  const rounds: (() => void)[] = [];
  const flights: { go: () => void; fail: () => void }[] = [];
  const call = new FakeCall();
  const begun: number[] = [];
  let closed = 0;
  const answer = ({ id, items }: BatchGetRequest): PartAnswers => {
    begun.push(id);
    if (items.length === 0) throw new RangeError('0 items');
    const answers = items.map(({ key }) => (key.startsWith('far') ? undefined : hit(key)));
    const missing = answers.flatMap((one, i) => (one === undefined ? [i] : []));
    if (missing.length === 0) return { answers, missing, rest: undefined };
    const rest = new Promise<Answer[]>((resolve, reject) => {
      flights.push({
        go: () => resolve(missing.map((i) => hit(items[i]?.key ?? ''))),
        fail: () => reject(new Error('gone')),
      });
    });
    return { answers, missing, rest };
  };
  const turns = new Turns({ budgetMs: 1, now: () => 0, schedule: (run) => rounds.push(run) });
  const stream = new LookupStream(call, {
    turns,
    answer,
    refusal: (error) => ({ status: 3, code: 'EC_INVALID_REQUEST', message: String(error) }),
    closed: () => (closed += 1),
  });
  const settle = async () => {
    for (let i = 0; i < 5; i++) {
      for (const run of rounds.splice(0)) run();
      await Promise.resolve();
    }
  };
  return { call, stream, settle, flights, begun, closed: () => closed };
}

it('answers what memory has before what was asked earlier and is still awaited', async () => {
  const { call, settle, flights } = harness();
  call.emit('data', aBatch(1, ['far']));
  call.emit('data', aBatch(2, ['near']));
  await settle();
  expect(call.sent.map(({ id }) => id)).toEqual([2]);
  flights[0]?.go();
  await settle();
  expect(call.sent.map(({ id }) => id)).toEqual([2, 1]);
});

it('splits a batch where that is asked for, and else waits for all of it', async () => {
  const { call, settle, flights } = harness();
  call.emit('data', aBatch(1, ['a', 'far', 'b'], true));
  call.emit('data', aBatch(2, ['a', 'far', 'b'], false));
  await settle();
  expect(call.sent).toMatchObject([{ id: 1, places: [0, 2], items: [{ version: 'a' }, { version: 'b' }] }]);
  for (const { go } of flights) go();
  await settle();
  expect(call.sent.slice(1)).toMatchObject([
    { id: 1, places: [1], items: [{ version: 'far' }] },
    { id: 2, places: [], items: [{ version: 'a' }, { version: 'far' }, { version: 'b' }] },
  ]);
});

it('begins nothing more for a reader that does not read, and stops reading from it', async () => {
  const { call, stream, settle, begun } = harness();
  call.room = 3;
  for (let id = 1; id <= 100 && !call.paused; id++) call.emit('data', aBatch(id));
  await settle();
  for (let id = 101; id <= 200 && !call.paused; id++) call.emit('data', aBatch(id));
  await settle();
  expect(begun.length).toBe(3);
  expect(call.paused).toBe(true);
  expect(stream.held.queued).toBeLessThanOrEqual(16);
  call.room = Number.POSITIVE_INFINITY;
  call.emit('drain');
  await settle();
  expect(stream.held.queued).toBe(0);
  expect(call.paused).toBe(false);
});

it('asks Redis for no more than so much at once', async () => {
  const { call, stream, settle, flights } = harness();
  const many = Array.from({ length: 1024 }, (_, i) => `far${i}`);
  for (let id = 1; id <= 5; id++) call.emit('data', aBatch(id, many));
  await settle();
  expect(stream.held).toEqual({ queued: 3, waiting: 2048 });
  flights[0]?.go();
  await settle();
  expect(stream.held).toEqual({ queued: 2, waiting: 2048 });
});

it('refuses a batch that is wrong, and goes on', async () => {
  const { call, settle } = harness();
  call.emit('data', aBatch(1, []));
  call.emit('data', aBatch(2, ['k']));
  await settle();
  expect(call.sent).toMatchObject([{ id: 1, refusal: { code: 'EC_INVALID_REQUEST' } }, { id: 2 }]);
  expect(refused({ status: 3, code: 'x', message: '' })).toMatchObject({
    found: false,
    refusal: { code: 'x' },
  });
});

it('ends when all that was received has been answered', async () => {
  const { call, stream, settle, flights, closed } = harness();
  call.emit('data', aBatch(1, ['far']));
  await settle();
  stream.drain();
  await settle();
  expect(call.ended).toBe(false);
  flights[0]?.go();
  await settle();
  expect([call.ended, closed(), call.sent.length]).toEqual([true, 1, 1]);
});

it('writes nothing to a call that is gone', async () => {
  const { call, settle, flights, closed } = harness();
  call.emit('data', aBatch(1, ['far']));
  await settle();
  call.emit('cancelled');
  call.emit('close');
  flights[0]?.go();
  await settle();
  expect([call.sent.length, closed()]).toEqual([0, 1]);
});
