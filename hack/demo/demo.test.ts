import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '../../api/errors.ts';
import { Zipf } from '../../cli/bench/zipf.ts';
import { StatsResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { memoryLines } from './memory.ts';
import { parseOptions } from './options.ts';
import { seededRandom, shuffled } from './random.ts';
import { allHold, compare, type Result, summaryLines } from './report.ts';
import { Truth } from './truth.ts';

describe('the truth', () => {
  it('calls a read stale only if what it gave was replaced longer before it began than the bound', () => {
    let time = 0;
    const truth = new Truth(1_000, () => time);
    truth.changed('g', 1);
    truth.check('g', 0, 900);
    expect(truth.stale).toBe(0);
    truth.check('g', 0, 1_001);
    expect(truth.stale).toBe(1);
    truth.check('g', 1, 99_999);
    expect(truth.stale).toBe(1);
    time = 5_000;
    truth.changed('g', 2);
    truth.check('g', 1, 6_001);
    expect(truth).toMatchObject({ stale: 2, checked: 4, worstMs: 1_001 });
  });

  it('calls what it no longer remembers stale', () => {
    const truth = new Truth(1_000, () => 10_000);
    for (let revision = 1; revision <= 100; revision++) truth.changed('g', revision);
    truth.check('g', 3, 12_000);
    expect(truth.stale).toBe(1);
  });
});

describe('the load', () => {
  it('is the same for the same seed', () => {
    const draw = () => {
      const zipf = new Zipf(1_000, 1.2, seededRandom(7));
      return Array.from({ length: 50 }, () => zipf.next());
    };
    expect(draw()).toEqual(draw());
  });

  it('is skewed as Zipf says', () => {
    const zipf = new Zipf(3_000, 1.2, seededRandom(1));
    const counts = new Map<number, number>();
    for (let i = 0; i < 100_000; i++) {
      const rank = zipf.next();
      counts.set(rank, (counts.get(rank) ?? 0) + 1);
    }
    const ratio = (counts.get(0) ?? 0) / (counts.get(9) ?? 1);
    expect(ratio).toBeGreaterThan(10 ** 1.2 * 0.85);
    expect(ratio).toBeLessThan(10 ** 1.2 * 1.15);
  });

  it('shuffles without losing any', () => {
    const list = Array.from({ length: 100 }, (_, i) => i);
    expect(shuffled(list, seededRandom(3)).sort((a, b) => a - b)).toEqual(list);
  });
});

const GOOD: Result = {
  l1HitRatio: 0.9,
  hitRatio: 0.97,
  propagationP50Ms: 1,
  propagationP99Ms: 9,
  lookupP50Ms: 0.5,
  lookupP99Ms: 3,
  echoP99Ms: 1,
  lookups: 1,
  events: 1,
  staleReads: 0,
  agents: 3,
};

describe('the result', () => {
  it.each([
    ['nothing', {}, true],
    ['L1 hits', { l1HitRatio: 0.8 }, false],
    ['hits', { hitRatio: 0.95 }, false],
    ['propagation', { propagationP99Ms: 100 }, false],
    ['latency', { lookupP99Ms: 5 }, false],
    ['latency on a machine that is too busy', { lookupP99Ms: 9, echoP99Ms: 5 }, true],
    ['hits on a machine that is too busy', { hitRatio: 0.95, echoP99Ms: 5 }, false],
    ['a stale read', { staleReads: 1 }, false],
    ['the load', { lookups: 0 }, false],
    ['events', { events: 0 }, false],
  ])('with %s missed is judged', (_what, change, holds) => {
    expect(allHold({ ...GOOD, ...change })).toBe(holds);
  });

  it('says why a target is not judged', () => {
    const lines = summaryLines({ ...GOOD, lookupP99Ms: 9, echoP99Ms: 7.5 });
    expect(lines.join('\n')).toMatch(
      /lookup p99.*9\.00 ms.*not judged: a bare gRPC echo beside it took 7\.50 ms/,
    );
  });

  it('of no agents has no hits', () => {
    expect(compare(new Map(), new Map())).toMatchObject({ l1HitRatio: 0, hitRatio: 0, events: 0 });
  });
});

describe('how memory does', () => {
  it('is told in a row for each thing that it does by itself', () => {
    const stats = StatsResponse.fromPartial({
      l1: { maxEntries: 500, sizeShare: 0.75 },
      l2: { plainBytes: 4_000, storedBytes: 1_000 },
      events: { invalidations: 7 },
      namespaces: [
        {
          name: 'a',
          l2Bytes: 2_000_000,
          l2LimitBytes: 5_000_000,
          l2Evictions: 3,
          adaptiveTtl: { longer: 1, shorter: 2, unchanged: 3 },
          l1Misses: [
            { cause: 'cold', count: 1 },
            { cause: 'expired', count: 3 },
          ],
        },
      ],
      analytics: {
        hottest: [{ namespace: 'a', key: 'k', perSecond: 12 }],
        whatIf: [{ factor: 2, l1HitRatio: 0.5 }],
      },
    });
    const metrics = new Map([
      ['edgecache_memory_used_ratio{of="heap"}', 0.5],
      ['edgecache_l1_replacements_total', 9],
    ]);
    const lines = memoryLines(new Map([['edge', stats]]), [metrics], {
      nodeId: 'edge',
      preloaded: 40,
      hitRatio: 0.9,
    });
    expect(lines.join('\n')).toContain('edge, 500 entries: L1 hits by size 2× 50.0 %');
    expect(lines.join('\n')).toContain('fullest: heap 50.0 %; agents keep 75.0 % of what is configured');
    expect(lines.join('\n')).toContain('largest: a 2.0 MB of 5.0 MB, 3 entries evicted');
    expect(lines.join('\n')).toContain('4.0 kB of lists became 1.0 kB: 4.0 times smaller');
    expect(lines.join('\n')).toContain('1 entries live longer, 2 shorter, 3 as configured');
    expect(lines.join('\n')).toContain('edge killed: 40 entries preloaded, 90.0 % L1 hits in its first 10 s');
    expect(lines.join('\n')).toContain('9 entries replaced by their events, 7 dropped');
    expect(lines.join('\n')).toContain('hottest k 12/s; misses: expired 75.0 %, cold 25.0 %');
  });
});

describe('the options', () => {
  it('have defaults', () => {
    expect(parseOptions([], () => 5)).toEqual({
      seconds: 20,
      seed: 5,
      json: false,
      keep: false,
      help: false,
    });
  });

  it.each([
    ['--seconds', 'ten'],
    ['--seconds', '4'],
    ['--seed', '-1'],
    ['--fast', '1'],
  ])('refuse %s %s', (...args) => {
    expect(() => parseOptions(args, () => 0)).toThrow(InvalidInputError);
  });
});
