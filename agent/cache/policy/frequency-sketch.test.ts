import { describe, expect, it } from 'vitest';
import { FrequencySketch, SAMPLE_FACTOR } from './frequency-sketch.ts';
import { mix } from './key-hash.ts';

function aSketch(entries: number): FrequencySketch {
  const sketch = new FrequencySketch();
  sketch.ensure(entries);
  return sketch;
}

function count(sketch: FrequencySketch, hash: number, times: number): void {
  for (let i = 0; i < times; i++) sketch.increment(hash);
}

describe('a frequency sketch', () => {
  it('tells how often a key was used, up to 15', () => {
    const sketch = aSketch(512);
    for (const times of [0, 1, 7, 15, 40]) {
      count(sketch, mix(times), times);
      expect(sketch.frequency(mix(times))).toBe(Math.min(15, times));
    }
  });

  it('never tells less than what was counted, and seldom more', () => {
    const sketch = aSketch(1_000);
    for (let key = 0; key < 1_000; key++) count(sketch, mix(key), 1 + (key % 5));
    const off = Array.from({ length: 1_000 }, (_, key) => sketch.frequency(mix(key)) - (1 + (key % 5)));
    expect(Math.min(...off)).toBe(0);
    expect(off.filter((more) => more > 0).length).toBeLessThan(50);
  });

  it('halves all counts after so many uses, so that the past fades', () => {
    const sketch = aSketch(64);
    count(sketch, mix(-1), 12);
    for (let i = 0; i < SAMPLE_FACTOR * 64; i++) sketch.increment(mix(i));
    expect(sketch.frequency(mix(-1))).toBeLessThanOrEqual(9);
  });

  it('counts nothing before it was sized, and keeps its counts while its size stays', () => {
    const sketch = new FrequencySketch();
    sketch.increment(1);
    expect([sketch.isReady, sketch.frequency(1)]).toEqual([false, 0]);
    sketch.ensure(100);
    count(sketch, 1, 3);
    sketch.ensure(90);
    expect(sketch.frequency(1)).toBe(3);
    sketch.ensure(10_000);
    expect(sketch.frequency(1)).toBe(0);
  });
});
