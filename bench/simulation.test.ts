import { describe, expect, it } from 'vitest';
import { POLICIES, Simulation } from './simulation.ts';
import {
  batches,
  loop,
  mix,
  recency,
  type SyntheticTrace,
  scan,
  shifting,
  trace,
  zipf,
} from './synthetic-traces.ts';

const SIZES = [500, 2_000, 5_000];
const CHOICES = ['lru', 's3fifo', 'tinylfu'] as const;

/** The seed of a trace follows from its name's length and its requests: each run sees the same. */
const TRACES: readonly SyntheticTrace[] = [
  trace('zipf, flat', 120_000, (r) => zipf(60_000, 0.7, r)),
  trace('zipf, steep', 120_000, (r) => zipf(60_000, 1.05, r)),
  trace('zipf and scans', 150_000, (r) => batches(zipf(30_000, 0.9, r), scan(), 15_000, 6_000)),
  trace('zipf among keys used once', 150_000, (r) =>
    mix(
      [
        [0.6, zipf(20_000, 0.95, r)],
        [0.4, scan()],
      ],
      r,
    ),
  ),
  trace('a loop', 150_000, () => loop(4_000)),
  trace('a loop and zipf', 200_000, (r) =>
    mix(
      [
        [0.4, loop(2_500)],
        [0.6, zipf(20_000, 0.9, r)],
      ],
      r,
    ),
  ),
  trace('popularity that shifts now and then', 200_000, (r) => shifting(30_000, 0.95, 40_000, 9_000, r)),
  trace('popularity that drifts fast', 200_000, (r) => shifting(20_000, 1, 12, 1, r)),
  trace('recency', 150_000, (r) => recency(0.12, 12_000, r)),
];

function simulate({ keys }: SyntheticTrace, size: number, policies: readonly (typeof POLICIES)[number][]) {
  const simulation = new Simulation(size, policies);
  for (const key of keys()) simulation.request(String(key));
  return simulation.result();
}

describe('the default policy', () => {
  for (const each of TRACES) {
    it.each(SIZES)(
      `is within a point of the best that it chooses from, on ${each.name}, with %i entries`,
      (size) => {
        const { hitRatios } = simulate(each, size, [...CHOICES, 'default']);
        const best = Math.max(...CHOICES.map((policy) => hitRatios[policy] ?? 0));
        expect(hitRatios.default).toBeGreaterThan(best - 0.01);
      },
    );
  }
});

describe('a simulation', () => {
  it('counts hits of each policy asked for, requests and keys', () => {
    const simulation = new Simulation(10);
    for (const key of ['a', 'b', 'a', 'a']) simulation.request(key);
    const { requests, keys, hitRatios } = simulation.result();
    expect([requests, keys]).toEqual([4, 2]);
    expect(hitRatios).toEqual(Object.fromEntries(POLICIES.map((policy) => [policy, 0.5])));
  });

  it('lets no policy beat the one that knows the future', () => {
    for (const size of [10, 100, 1_000]) {
      const { hitRatios } = simulate(
        trace('zipf', 20_000, (r) => zipf(3_000, 0.9, r)),
        size,
        POLICIES,
      );
      const optimum = hitRatios.optimum ?? 0;
      for (const policy of POLICIES) expect(hitRatios[policy]).toBeLessThanOrEqual(optimum);
    }
  });

  it('keeps what is used most by lfu, whatever was used last', () => {
    const simulation = new Simulation(2, ['lfu', 'lru']);
    for (const key of ['a', 'a', 'a', 'b', 'b', 'c', 'd', 'a', 'a']) simulation.request(key);
    expect(simulation.result().hitRatios).toEqual({ lfu: 5 / 9, lru: 4 / 9 });
  });
});
