import { describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../api/event.ts';
import { Partition } from './partition.ts';

const START = { version: '100-0', eventId: 'start' };

function event(version: string, id: string, prev: string, prevId: string): LoggedEvent {
  return {
    event_id: id,
    event_type: 'manual_invalidation',
    resource_id: '',
    data: {},
    timestamp: 0,
    source_node: 'n',
    affected_namespaces: ['a'],
    keys: [],
    tags: [],
    version,
    prev,
    prev_event_id: prevId,
    op: 'invalidate',
    logged_at_us: 0,
  };
}

function aPartition(): Partition {
  const partition = new Partition(0);
  partition.resetTo(START);
  return partition;
}

describe('a place in the log', () => {
  it('takes the event that follows', () => {
    const partition = aPartition();
    expect(partition.judge(event('101-0', 'e1', '100-0', 'start'))).toBe('next');
    expect(partition.received).toBe('101-0');
  });

  it('sees a gap when an event does not follow', () => {
    const partition = aPartition();
    expect(partition.judge(event('103-0', 'e3', '102-0', 'e2'))).toBe('gap');
    expect(partition.received).toBe('100-0');
  });

  it('knows a repeated message', () => {
    const partition = aPartition();
    const e1 = event('101-0', 'e1', '100-0', 'start');
    partition.judge(e1);
    partition.judge(event('102-0', 'e2', '101-0', 'e1'));
    expect(partition.judge(e1)).toBe('duplicate');
  });

  it('sees that a failover gave a number anew to another event', () => {
    const partition = aPartition();
    partition.judge(event('101-0', 'lost', '100-0', 'start'));
    expect(partition.judge(event('101-0', 'anew', '100-0', 'start'))).toBe('rewritten');
    expect(partition.judge(event('102-0', 'later', '101-0', 'anew'))).toBe('gap');
  });

  it('is not deceived by a prev with the right number and another event', () => {
    const partition = aPartition();
    partition.judge(event('101-0', 'lost', '100-0', 'start'));
    expect(partition.judge(event('102-0', 'next', '101-0', 'anew'))).not.toBe('next');
  });

  it('takes a head that it has received for proof', () => {
    expect(aPartition().judgeHead(START, '100-0')).toBe('next');
  });

  it('sees in a newer head that the last event was lost', () => {
    expect(aPartition().judgeHead({ version: '101-0', eventId: 'e1' }, '100-0')).toBe('gap');
  });

  it('sees in an older head that the log went back', () => {
    const partition = aPartition();
    partition.judge(event('101-0', 'e1', '100-0', 'start'));
    expect(partition.judgeHead(START, '101-0')).toBe('rewritten');
  });

  it('accepts an older head that was read while events arrived', () => {
    const partition = aPartition();
    partition.judge(event('101-0', 'e1', '100-0', 'start'));
    partition.judge(event('102-0', 'e2', '101-0', 'e1'));
    expect(partition.judgeHead({ version: '101-0', eventId: 'e1' }, '100-0')).toBe('next');
  });

  it('sees in a head with the same number and another event that the log was rewritten', () => {
    expect(aPartition().judgeHead({ version: '100-0', eventId: 'other' }, '100-0')).toBe('rewritten');
  });

  it('loses its leases when fenced', () => {
    const partition = aPartition();
    partition.freshCriticalUntil = 5;
    partition.freshBulkUntil = 5;
    const { generation } = partition;
    partition.fence();
    expect(partition).toMatchObject({ freshCriticalUntil: 0, freshBulkUntil: 0, current: false });
    expect(partition.generation).toBe(generation + 1);
  });

  it('remembers a bounded number of event ids', () => {
    const partition = aPartition();
    let prev = ['100-0', 'start'];
    for (let i = 1; i <= 3_000; i++) {
      const [version, id] = [`${100 + i}-0`, `e${i}`];
      expect(partition.judge(event(version, id, prev[0] ?? '', prev[1] ?? ''))).toBe('next');
      prev = [version, id];
    }
    expect(partition.judge(event('3000-0', 'e2900', '2999-0', 'e2899'))).toBe('duplicate');
    // Forgotten ones are doubted, and doubt means a reset: never a guess.
    expect(partition.judge(event('101-0', 'e1', '100-0', 'start'))).toBe('rewritten');
  });
});

describe('the reach of a partition’s master', () => {
  it('is doubted for a while once it was lost, and not before it was first there', () => {
    const partition = new Partition(0);
    partition.noteUnreachable(0);
    expect(partition.noteReachable(1_000, 1_000)).toBe(false);
    expect(partition.settlingUntil).toBe(0);
    partition.noteUnreachable(1_000);
    partition.noteUnreachable(1_900);
    expect(partition.noteReachable(2_000, 1_000)).toBe(true);
    expect(partition.settlingUntil).toBe(4_000);
    expect(partition.noteReachable(9_000, 1_000)).toBe(false);
    expect(partition.settlingUntil).toBe(4_000);
  });

  it('is not doubted for one call that failed beside others', () => {
    const partition = new Partition(0);
    partition.noteReachable(0, 1_000);
    partition.noteUnreachable(100);
    expect(partition.noteReachable(200, 1_000)).toBe(true);
    expect(partition.settlingUntil).toBe(0);
  });
});
