import { expect, it } from 'vitest';
import { RateHistory } from './rates.ts';

const NONE = { l1Hits: 0, l1Misses: 0, l2Hits: 0, events: 0 };

it('rates are those of the last minute, not since the start', () => {
  const history = new RateHistory();
  history.add(0, NONE);
  history.add(60_000, { l1Hits: 0, l1Misses: 600, l2Hits: 0, events: 0 });
  history.add(120_000, { l1Hits: 450, l1Misses: 750, l2Hits: 75, events: 60 });
  expect(history.recent()).toEqual({
    lookupsPerSecond: 10,
    eventsPerSecond: 1,
    l1HitRatio: 0.75,
    hitRatio: 0.875,
  });
});

it('nothing is claimed of a time without lookups, nor before there are two samples', () => {
  const history = new RateHistory();
  expect(history.recent().hitRatio).toBe(0);
  history.add(0, NONE);
  expect(history.recent().lookupsPerSecond).toBe(0);
  expect(history.points()).toEqual([]);
  history.add(5_000, NONE);
  expect(history.points()).toEqual([
    { at: 5_000, lookupsPerSecond: 0, eventsPerSecond: 0, l1HitRatio: 0, hitRatio: 0 },
  ]);
});

it('answers of Redis to lookups of an earlier time make no ratio above one', () => {
  const history = new RateHistory();
  history.add(0, { ...NONE, l1Misses: 10 });
  history.add(5_000, { l1Hits: 5, l1Misses: 10, l2Hits: 10, events: 0 });
  expect(history.recent().hitRatio).toBe(1);
});

it('a quarter of an hour is kept, however often it is sampled', () => {
  const history = new RateHistory();
  for (let at = 0; at < 3_600_000; at += 500) history.add(at, NONE);
  const points = history.points();
  expect(points).toHaveLength(180);
  const [first, second] = points;
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBe(3_000);
});
