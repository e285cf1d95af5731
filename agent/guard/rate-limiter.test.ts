import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RateLimitedError, RateLimiter } from './rate-limiter.ts';

function aLimiter(perSecond: number, maxIdentities?: number) {
  let time = 0;
  const limiter = new RateLimiter({
    perSecond,
    now: () => time,
    ...(maxIdentities === undefined ? {} : { maxIdentities }),
  });
  const wait = (identity: string, items = 1): number => {
    try {
      limiter.admit(identity, items);
      return 0;
    } catch (error) {
      if (error instanceof RateLimitedError) return error.retryAfterMs;
      throw error;
    }
  };
  return { limiter, wait, pass: (ms: number) => (time += ms) };
}

it('admits a second’s worth at once, then as many as the limit says', () => {
  const { wait, pass } = aLimiter(10);
  for (let i = 0; i < 10; i++) expect(wait('a')).toBe(0);
  expect(wait('a')).toBe(100);
  pass(100);
  expect([wait('a'), wait('a')]).toEqual([0, 100]);
  pass(60_000);
  for (let i = 0; i < 10; i++) expect(wait('a')).toBe(0);
  expect(wait('a')).toBe(100);
});

it('says when to come back, and is right', () => {
  const { wait, pass } = aLimiter(7);
  expect(wait('a', 100)).toBe(0);
  const ms = wait('a');
  pass(ms - 1);
  expect(wait('a')).toBe(1);
  pass(1);
  expect(wait('a')).toBe(0);
});

it('lets a batch through that is larger than the limit, in its time', () => {
  const { limiter, wait, pass } = aLimiter(10);
  expect(wait('a', 1024)).toBe(0);
  expect(wait('a', 1024)).toBe(101_500);
  pass(101_500);
  expect(wait('a', 1024)).toBe(0);
  expect(limiter.refused).toBe(1024);
});

it('keeps one from what is another’s', () => {
  const { wait } = aLimiter(1);
  expect([wait('a'), wait('b')]).toEqual([0, 0]);
  expect(wait('a')).toBeGreaterThan(0);
});

it('lets those share a budget that are too many, until others are forgotten', () => {
  const { limiter, wait, pass } = aLimiter(1, 2);
  expect([wait('a'), wait('b'), wait('c')]).toEqual([0, 0, 0]);
  expect(wait('d')).toBeGreaterThan(0);
  expect(limiter.identities).toBe(2);
  pass(1000);
  expect([wait('c'), wait('d')]).toEqual([0, 0]);
  expect(limiter.identities).toBe(2);
});

it('never admits more than the limit and what one batch overdraws, whatever comes', () => {
  const step = fc.record({ ms: fc.integer({ min: 0, max: 2000 }), items: fc.integer({ min: 1, max: 50 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.array(step, { maxLength: 100 }), (perSecond, steps) => {
      const { wait, pass } = aLimiter(perSecond);
      let admitted = 0;
      let time = 0;
      for (const { ms, items } of steps) {
        pass(ms);
        time += ms;
        if (wait('a', items) === 0) admitted += items;
        expect(admitted).toBeLessThanOrEqual(perSecond * (1 + time / 1000) + 50);
      }
    }),
  );
});
