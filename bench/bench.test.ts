import { expect, it } from 'vitest';
import { inTurns, quantile } from './measure.ts';
import { parseCsv } from './redis-benchmark.ts';
import { ratioOf, toCells } from './row.ts';

it('reads what redis-benchmark says, and refuses what it does not', () => {
  const csv = '"test","rps","avg_latency_ms"\n"SET","100.5","0.1"\n"GET","123456.78","0.2"\n';
  expect(parseCsv(csv, 'GET')).toBe(123_456.78);
  expect(() => parseCsv(csv, 'LPUSH')).toThrow(/LPUSH/);
});

it('takes quantiles of values in any order', () => {
  const values = [5, 1, 4, 2, 3];
  expect([quantile(values, 0), quantile(values, 0.5), quantile(values, 0.99)]).toEqual([1, 3, 5]);
  expect(quantile([], 0.5)).toBeNaN();
  expect(values).toEqual([5, 1, 4, 2, 3]);
});

it('measures sides in turns, and gives medians', async () => {
  const order: string[] = [];
  const side = (name: string, values: number[]) => async () => {
    order.push(name);
    return values.shift() ?? 0;
  };
  expect(await inTurns(3, [side('a', [1, 9, 5]), side('b', [2, 2, 8])])).toEqual([5, 2]);
  expect(order.join('')).toBe('ababab');
});

it('says how many times better ours is, whatever the unit', () => {
  const peer = { name: 'peer', value: 10 };
  expect(ratioOf({ what: 'r', unit: 'per second', ours: 20, peer })).toBe(2);
  expect(ratioOf({ what: 'r', unit: 'ms', ours: 5, peer })).toBe(2);
  expect(ratioOf({ what: 'r', unit: 'MB', ours: 5 })).toBeUndefined();
  const goal = { text: '< 3 ms', met: false };
  expect(toCells({ what: 'r', unit: 'ms', ours: 5, peer, goal, cpu: { redis: 0.255 } })).toEqual([
    'r',
    '5.00 ms',
    '10.00 ms peer',
    '2.00×',
    '< 3 ms: NOT MET',
    'redis 26 %',
  ]);
});
