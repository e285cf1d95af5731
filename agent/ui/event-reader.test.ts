import { expect, it } from 'vitest';
import type { LoggedEvent } from '../../api/event.ts';
import { EventReader, MOST_WAITING, PATIENCE_MS } from './event-reader.ts';
import { LiveEvent } from './live-event.ts';
import { LiveEvents, MOST_READERS } from './live-events.ts';

const event = (id: string, changes: Partial<LoggedEvent> = {}): LoggedEvent => ({
  event_id: id,
  event_type: 'pricing_updated',
  resource_id: 'gpu_1',
  data: { password: 'never-shown' },
  timestamp: 1,
  source_node: 'node-a',
  affected_namespaces: ['gpu_avail'],
  keys: ['gpu/1'],
  tags: [],
  version: '5-0',
  prev: '4-0',
  prev_event_id: '',
  op: 'invalidate',
  logged_at_us: 5_000_000,
  ...changes,
});

/** A page that reads, or does not. */
class Page {
  readonly got: { event: string; data: unknown }[] = [];
  reads = true;
  ended = false;

  write(text: string): boolean {
    for (const part of text.split('\n\n').filter(Boolean)) {
      const [name = '', data = ''] = part.split('\n');
      this.got.push({ event: name.replace('event: ', ''), data: JSON.parse(data.replace('data: ', '')) });
    }
    return this.reads;
  }

  end(text: string): void {
    this.write(text);
    this.ended = true;
  }

  get names(): string[] {
    return this.got.map((one) => one.event);
  }
}

function setUp() {
  const clock = { ms: 0 };
  const live = new LiveEvents(() => clock.ms);
  const page = new Page();
  const reader = live.read(page);
  return { clock, live, page, reader };
}

it('a page is told what happened before it came, and then what happens', () => {
  const live = new LiveEvents(() => 0);
  live.note(3, ['gpu_avail'], event('before'), 2);
  const page = new Page();
  live.read(page);
  live.note(3, ['gpu_avail'], event('after'), 2);
  live.flush();
  expect(page.got).toEqual([
    { event: 'recent', data: [expect.objectContaining({ id: 'before' })] },
    { event: 'events', data: [expect.objectContaining({ id: 'after', keys: ['gpu/1'], propagationMs: 2 })] },
  ]);
  live.stop();
});

it('an event of several partitions and lanes is one, with the slowest of its ways', () => {
  const { live, page } = setUp();
  live.note(1, ['a'], event('e'), 3);
  live.note(1, ['b'], event('e'), 9);
  live.note(2, ['a'], event('e'), 1);
  live.flush();
  const merged = { id: 'e', namespaces: ['a', 'b'], partitions: 2, propagationMs: 9 };
  expect(page.got.at(-1)).toEqual({ event: 'events', data: [expect.objectContaining(merged)] });
  live.stop();
});

it('nothing of what an event carries is shown, and only the first of what it names', () => {
  const { live, page } = setUp();
  const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}`);
  live.note(1, ['a'], event('e', { keys, reason: 'x'.repeat(1_000) }), undefined);
  live.flush();
  const text = JSON.stringify(page.got);
  expect(text).not.toContain('never-shown');
  expect(text.length).toBeLessThan(1_000);
  expect(text).toContain('"keyCount":1000');
  live.stop();
});

it('who reads slowly has the newest, and is told how many it missed', () => {
  const { live, page, reader } = setUp();
  page.reads = false;
  live.note(0, ['a'], event('first'), 1);
  live.flush();
  for (let i = 0; i < MOST_WAITING + 10; i++) live.note(0, ['a'], event(`e${i}`), 1);
  live.flush();
  expect(page.names).toEqual(['recent', 'events']);
  page.reads = true;
  reader?.drained();
  live.flush();
  expect(page.names.slice(2)).toEqual(['missed', 'events']);
  expect(page.got[2]?.data).toEqual({ count: 10 });
  expect(page.got[3]?.data).toHaveLength(MOST_WAITING);
  expect(live.counters.missed).toBe(10);
  live.stop();
});

it('who does not read at all is dropped, and told', () => {
  const { clock, live, page } = setUp();
  page.reads = false;
  live.note(0, ['a'], event('e'), 1);
  live.flush();
  clock.ms = PATIENCE_MS - 1;
  live.flush();
  expect(live.readers).toBe(1);
  clock.ms = PATIENCE_MS;
  live.flush();
  expect(live.readers).toBe(0);
  expect(page.ended).toBe(true);
  expect(page.names.at(-1)).toBe('end');
  expect(live.counters.dropped).toBe(1);
});

it('who may not go on looking is sent nothing more', () => {
  const live = new LiveEvents(() => 0);
  const page = new Page();
  let isStill = true;
  live.read(page, () => isStill);
  isStill = false;
  live.note(0, ['a'], event('secret'), 1);
  live.flush();
  expect(page.got.slice(1)).toEqual([{ event: 'end', data: { why: 'renew' } }]);
  expect(live.readers).toBe(0);
});

it('a page where nothing happens hears now and then that it is heard', () => {
  const { clock, live, page } = setUp();
  clock.ms = 4_999;
  live.flush();
  clock.ms = 5_000;
  live.flush();
  live.flush();
  expect(page.names).toEqual(['recent', 'alive']);
  live.stop();
});

it('partitions that were dropped are told of', () => {
  const { live, page } = setUp();
  live.noteReset(4, 'events were lost');
  live.noteReset(4, 'events were lost');
  live.flush();
  expect(page.got.at(-1)).toEqual({ event: 'resets', data: [{ partition: 4, why: 'events were lost' }] });
  live.stop();
});

it('there are so many readers and no more, and one that leaves makes room', () => {
  const live = new LiveEvents(() => 0);
  const readers = Array.from({ length: MOST_READERS }, () => live.read(new Page()));
  expect(live.read(new Page())).toBeUndefined();
  const [first] = readers;
  if (first instanceof EventReader) live.remove(first);
  expect(live.read(new Page())).toBeInstanceOf(EventReader);
  live.stop();
});

it('of the past a short stretch is kept', () => {
  const live = new LiveEvents(() => 0);
  for (let i = 0; i < 1_000; i++) live.note(0, ['a'], event(`e${i}`), 1);
  const page = new Page();
  live.read(page);
  expect(page.got[0]?.data).toHaveLength(200);
  expect(JSON.stringify(page.got[0]?.data)).toContain('"e999"');
  live.stop();
});

it('a live event says nothing of the partitions by name', () => {
  const live = new LiveEvent(event('e'));
  live.note(1, ['a'], 1);
  expect(Object.keys(JSON.parse(JSON.stringify(live)))).not.toContain('seenIn');
});
