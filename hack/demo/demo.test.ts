import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '../../api/errors.ts';
import { parseOptions } from './options.ts';
import { seededRandom, shuffled, Zipf } from './random.ts';
import { allHold, compare, type Result } from './report.ts';
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
    ['a stale read', { staleReads: 1 }, false],
    ['the load', { lookups: 0 }, false],
    ['events', { events: 0 }, false],
  ])('with %s missed is judged', (_what, change, holds) => {
    expect(allHold({ ...GOOD, ...change })).toBe(holds);
  });

  it('of no agents has no hits', () => {
    expect(compare(new Map(), new Map())).toMatchObject({ l1HitRatio: 0, hitRatio: 0, events: 0 });
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
