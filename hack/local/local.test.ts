import { describe, expect, it } from 'vitest';
import { until } from './children.ts';
import { countSlots, hasSlot, parseNodes, servesSlots } from './cluster-nodes.ts';
import { onFreePorts, PortTakenError } from './free-ports.ts';
import { parseRedisVersion } from './redis-install.ts';

const NODES = `a1 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5460 7000 [93-<-b2]
b2 127.0.0.1:7002@17002 master,fail - 0 0 2 connected 5461-6999
c3 127.0.0.1:7003@17003 master,fail? - 0 0 3 connected 7001-16383
d4 127.0.0.1:7004@17004 slave a1 0 0 1 connected
`;

describe('the view of a cluster', () => {
  it('tells masters that serve from those that failed, and from replicas', () => {
    const serving = parseNodes(NODES).filter(servesSlots);
    expect(serving.map(({ id, port }) => [id, port])).toEqual([
      ['a1', 7001],
      ['c3', 7003],
    ]);
  });

  it('counts slots without those on the move', () => {
    const slots = parseNodes(NODES)[0]?.slots ?? '';
    expect(countSlots(slots)).toBe(5_462);
    expect([0, 5_460, 7_000, 93, 5_461].map((slot) => hasSlot(slots, slot))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ]);
  });
});

describe('the version of redis-server', () => {
  it.each([
    ['Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64', '7.0.15'],
    ['Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64', '8.1.1'],
    ['something else', undefined],
  ])('is read from %s', (text, version) => {
    expect(parseRedisVersion(text)).toBe(version);
  });
});

describe('ports that were taken meanwhile', () => {
  it('are chosen again, and no other failure is tried again', async () => {
    let tries = 0;
    const start = (failure: () => Error) =>
      onFreePorts(async () => {
        tries += 1;
        if (tries < 3) throw failure();
        return tries;
      });
    expect(await start(() => new PortTakenError('taken'))).toBe(3);
    tries = 0;
    await expect(start(() => new Error('wrong argument'))).rejects.toThrow('wrong argument');
    expect(tries).toBe(1);
  });
});

describe('waiting', () => {
  it('ends at its deadline although a condition never answers', async () => {
    const never = until('an answer', () => new Promise<boolean>(() => undefined), { timeoutMs: 50 });
    await expect(never).rejects.toThrow('waited 50 ms in vain: an answer');
  });

  it('says the last failure as the cause', async () => {
    const failing = until(
      'luck',
      () => {
        throw new Error('none');
      },
      { timeoutMs: 30 },
    );
    await expect(failing).rejects.toMatchObject({ cause: new Error('none') });
  });
});
