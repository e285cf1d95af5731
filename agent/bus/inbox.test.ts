import { describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../api/event.ts';
import { Inbox, type InboxItem, type InboxOptions, type Lane } from './inbox.ts';
import { Partition } from './partition.ts';

function anItem(partition: Partition, version: string, keys: string[], confirm?: string): InboxItem {
  const event: LoggedEvent = {
    event_id: version,
    event_type: 'manual_invalidation',
    resource_id: '',
    data: {},
    timestamp: 0,
    source_node: 'n',
    affected_namespaces: ['a'],
    keys,
    tags: [],
    version,
    prev: '0-0',
    prev_event_id: '',
    op: 'put',
    logged_at_us: 0,
    ...(confirm === undefined ? {} : { confirm }),
  };
  return { partition, event, namespaces: ['a'] };
}

/** An inbox whose batches run when told, on a clock that stands unless told. */
function anInbox(options: Partial<InboxOptions> = {}) {
  const applied: string[] = [];
  const overflows: { lane: Lane; dropped: number }[] = [];
  const runs: (() => void)[] = [];
  const inbox = new Inbox({
    maxItemsPerLane: 1_000,
    batchMs: 2,
    now: () => 0,
    schedule: (run) => runs.push(run),
    apply: ({ event }, lane) => applied.push(`${lane} ${event.version}`),
    overflow: (_, lane, dropped) => overflows.push({ lane, dropped: dropped.length }),
    ...options,
  });
  const runAll = () => {
    for (let run = runs.shift(); run !== undefined; run = runs.shift()) run();
  };
  return { inbox, applied, overflows, runs, runAll };
}

describe('the inbox', () => {
  const partition = new Partition(3);

  it('applies critical events first', () => {
    const { inbox, applied, runAll } = anInbox();
    inbox.add('bulk', anItem(partition, '1-0', ['x']));
    inbox.add('critical', anItem(partition, '2-0', ['y']));
    runAll();
    expect(applied).toEqual(['critical 2-0', 'bulk 1-0']);
  });

  it('merges an invalidation with an equal one that waits, and keeps the newer version', () => {
    const { inbox, applied, runAll } = anInbox();
    for (const version of ['1-0', '2-0', '3-0']) inbox.add('critical', anItem(partition, version, ['x']));
    expect(inbox.size).toBe(1);
    runAll();
    expect(applied).toEqual(['critical 3-0']);
    expect(inbox.merged).toBe(2);
  });

  it('merges nothing that somebody waits for', () => {
    const { inbox, applied, runAll } = anInbox();
    inbox.add('critical', anItem(partition, '1-0', ['x'], 'sender'));
    inbox.add('critical', anItem(partition, '2-0', ['x'], 'sender'));
    runAll();
    expect(applied.length).toBe(2);
  });

  it('gives lookups a turn when a batch has taken its time', () => {
    let time = 0;
    const { inbox, applied, runs } = anInbox({ now: () => time++ });
    for (let i = 0; i < 200; i++) inbox.add('critical', anItem(partition, `${i}-0`, [`k${i}`]));
    runs.shift()?.();
    expect(applied.length).toBeGreaterThan(0);
    expect(applied.length).toBeLessThan(200);
    expect(runs.length).toBe(1);
  });

  it('turns a flood of a partition into one overflow, and stays bounded', () => {
    const { inbox, overflows, runAll, applied } = anInbox({ maxItemsPerLane: 100 });
    const other = new Partition(4);
    inbox.add('bulk', anItem(other, '1-0', ['kept']));
    for (let i = 0; i < 100_000; i++) {
      inbox.add('bulk', anItem(partition, `${i}-0`, [`k${i}`]));
      expect(inbox.size).toBeLessThanOrEqual(100);
    }
    expect(overflows.length).toBeGreaterThan(0);
    expect(inbox.pendingOf(other, 'bulk')).toBe(1);
    runAll();
    expect(applied).toContain('bulk 1-0');
  });

  it('passes a barrier only behind what was there before it', () => {
    const { inbox, applied, runAll } = anInbox();
    let seen = -1;
    inbox.add('critical', anItem(partition, '1-0', ['x']));
    inbox.afterApplied('critical', () => {
      seen = applied.length;
    });
    inbox.add('critical', anItem(partition, '2-0', ['y']));
    expect(seen).toBe(-1);
    runAll();
    expect(seen).toBe(1);
  });

  it('passes a barrier of an empty lane at once', () => {
    const { inbox } = anInbox();
    let passed = false;
    inbox.afterApplied('bulk', () => {
      passed = true;
    });
    expect(passed).toBe(true);
  });

  it('counts what waits for a partition', () => {
    const { inbox, runAll } = anInbox();
    inbox.add('critical', anItem(partition, '1-0', ['x']));
    inbox.add('critical', anItem(partition, '2-0', ['y']));
    expect(inbox.pendingOf(partition, 'critical')).toBe(2);
    runAll();
    expect(inbox.pendingOf(partition, 'critical')).toBe(0);
    inbox.add('critical', anItem(partition, '3-0', ['x']));
    inbox.discard(partition);
    expect(inbox.size).toBe(0);
  });
});
