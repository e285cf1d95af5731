import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pressure } from './pressure.ts';

const SECOND = 1_000;

function aPressure(fill = 1) {
  const state = { ratio: 0, time: 0, fill };
  const shares: number[] = [];
  const exhausted: number[] = [];
  const pressure = new Pressure({
    sources: () => [
      { name: 'heap', usedBytes: 1, limitBytes: 100 },
      { name: 'cgroup', usedBytes: state.ratio * 1_000, limitBytes: 1_000 },
    ],
    now: () => state.time,
    fill: () => state.fill,
    resize: (share) => shares.push(Math.round(share * 1_000) / 1_000),
    exhausted: () => exhausted.push(state.time),
  });
  /** Looks once a second. */
  const pass = (seconds: number, ratio: number) => {
    state.ratio = ratio;
    for (let i = 0; i < seconds; i++) {
      pressure.look();
      state.time += SECOND;
    }
  };
  return { pressure, state, shares, exhausted, pass };
}

describe('memory pressure', () => {
  it('changes nothing while there is room', () => {
    const { pressure, shares, pass } = aPressure();
    pass(100, 0.84);
    expect([shares, pressure.share, pressure.steps]).toEqual([[], 1, 0]);
  });

  it('shrinks in steps, to a floor, and then says once that it is of no more help', () => {
    const { shares, exhausted, pressure, pass } = aPressure();
    pass(6, 0.9);
    // The first at once, the next when what it freed must have shown.
    expect(shares).toEqual([0.75, 0.563]);
    pass(100, 0.9);
    expect(pressure.share).toBe(0.1);
    expect(shares.at(-1)).toBe(0.1);
    expect(exhausted.length).toBe(1);
  });

  it('shrinks from what is held, where that is less than the limits', () => {
    const { shares, pass } = aPressure(0.4);
    pass(1, 0.9);
    expect(shares).toEqual([0.3]);
  });

  it('grows back in smaller steps once there has been room for a while, to all that it had', () => {
    const { shares, pressure, pass } = aPressure();
    pass(1, 0.9);
    pass(29, 0.5);
    expect(shares).toEqual([0.75]);
    pass(3, 0.5);
    expect(shares).toEqual([0.75, 0.85]);
    // Between the marks nothing moves, and the time begins anew.
    pass(100, 0.8);
    expect(shares).toEqual([0.75, 0.85]);
    pass(100, 0.5);
    expect(pressure.share).toBe(1);
  });

  it('says again that it is of no help after there was room', () => {
    const { exhausted, pass } = aPressure();
    pass(100, 0.9);
    pass(1, 0.5);
    pass(100, 0.9);
    expect(exhausted.length).toBe(2);
  });

  it('does nothing where nothing is limited', () => {
    const pressure = new Pressure({
      sources: () => [],
      now: () => 0,
      fill: () => 1,
      resize: () => expect.fail(),
      exhausted: () => expect.fail(),
    });
    pressure.look();
    expect(pressure.share).toBe(1);
  });

  it('keeps its bounds and always recovers, whatever happens', () => {
    const weather = fc.array(fc.tuple(fc.nat(40), fc.double({ min: 0, max: 1.2, noNaN: true })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(weather, fc.double({ min: 0, max: 1, noNaN: true }), (spells, fill) => {
        const { pressure, shares, pass } = aPressure(fill);
        for (const [seconds, ratio] of spells) {
          const [before, count] = [pressure.share, shares.length];
          pass(seconds, ratio);
          expect(pressure.share).toBeGreaterThanOrEqual(0.1);
          expect(pressure.share).toBeLessThanOrEqual(1);
          if (ratio >= 0.85) expect(pressure.share).toBeLessThanOrEqual(before);
          else expect(pressure.share).toBeGreaterThanOrEqual(before);
          // Never more often than every five seconds.
          expect(shares.length - count).toBeLessThanOrEqual(Math.ceil(seconds / 5));
        }
        pass(400, 0.5);
        expect(pressure.share).toBe(1);
      }),
    );
  });
});
