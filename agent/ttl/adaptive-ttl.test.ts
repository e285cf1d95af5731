import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveNamespace } from '../../api/namespace.ts';
import { AdaptiveTtl } from './adaptive-ttl.ts';

const RULES = resolveNamespace(
  { name: 'a', ttlSeconds: 60, adaptiveTtl: { minSeconds: 5, maxSeconds: 600 } },
  30,
);
const SECOND = 1_000;
const NONE = { longer: 0, shorter: 0, unchanged: 0 };

class World {
  time = 0;
  readonly ttl = new AdaptiveTtl({ entries: 100, now: () => this.time });

  read(key: string, times: number): void {
    for (let i = 0; i < times; i++) this.ttl.noteRead(RULES, key);
  }

  change(keys: string[], tags: string[] = []): void {
    this.ttl.noteChange(RULES, { keys, tags });
  }

  choose(key: string, tags: string[] = []): number {
    return this.ttl.choose(RULES, key, tags) / SECOND;
  }
}

describe('a TTL of the agent’s own choice', () => {
  it('is the configured one of what nothing is known of', () => {
    const world = new World();
    expect(world.choose('k')).toBe(60);
    world.time = 3_600 * SECOND;
    // Not read: nobody gains by its staying.
    expect(world.choose('k')).toBe(60);
  });

  it('is half of how long a key has stayed the same, where it is read often', () => {
    const world = new World();
    world.read('k', 1);
    world.time = 300 * SECOND;
    world.read('k', 20);
    expect(world.choose('k')).toBe(150);
    world.time = 3_600 * SECOND;
    world.read('k', 20);
    expect(world.choose('k')).toBe(600);
    // It has just changed, for the first time as far as is known.
    world.change(['k']);
    expect(world.choose('k')).toBeGreaterThan(60);
  });

  it('is as short as the time between changes, where that is shorter than the configured one', () => {
    const world = new World();
    for (let i = 0; i < 20; i++) {
      world.time += 12 * SECOND;
      world.change(['k']);
    }
    expect(world.choose('k')).toBe(12);
    for (let i = 0; i < 20; i++) {
      world.time += SECOND;
      world.change(['k']);
    }
    expect(world.choose('k')).toBe(5);
    // It has stopped changing: what was is no guide for ever.
    world.time += 300 * SECOND;
    expect(world.choose('k')).toBe(60);
  });

  it('is the configured one after its tag, its namespace, or events unknown have changed', () => {
    const world = new World();
    const old = () => {
      world.read('k', 1);
      world.time += 500 * SECOND;
      world.read('k', 50);
      expect(world.choose('k', ['red'])).toBeGreaterThan(200);
    };
    old();
    world.change([], ['red']);
    expect(world.choose('k', ['red'])).toBe(60);
    expect(world.choose('k', ['green'])).toBeGreaterThan(200);
    old();
    world.change([]);
    expect(world.choose('k')).toBe(60);
    old();
    world.ttl.forget();
    expect(world.choose('k', ['red'])).toBe(60);
  });

  it('is never outside its bounds, and counted, under random load', () => {
    const does = {
      read: (world: World, key: string, n: number) => world.read(key, n % 50),
      change: (world: World, key: string) => world.change([key]),
      tag: (world: World) => world.change([], ['red']),
      all: (world: World) => world.change([]),
      wait: (world: World, _key: string, n: number) => {
        world.time += n;
      },
      forget: (world: World) => world.ttl.forget(),
      resize: (world: World, _key: string, n: number) => world.ttl.resize(n),
      choose: (world: World, key: string) => {
        const seconds = world.choose(key, ['red']);
        expect(seconds).toBeGreaterThanOrEqual(5);
        expect(seconds).toBeLessThanOrEqual(600);
      },
    };
    const step = fc.record({
      what: fc.constantFrom(...Object.values(does)),
      key: fc.integer({ min: 0, max: 20 }).map(String),
      n: fc.integer({ min: 1, max: 100_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
        const world = new World();
        for (const { what, key, n } of steps) what(world, key, n);
        const { longer, shorter, unchanged } = world.ttl.byNamespace.get('a') ?? NONE;
        expect(longer + shorter + unchanged).toBe(steps.filter(({ what }) => what === does.choose).length);
      }),
    );
  });

  it('is not chosen where a namespace does not ask for it', () => {
    const world = new World();
    const plain = resolveNamespace({ name: 'a', ttlSeconds: 60 }, 30);
    world.ttl.noteRead(plain, 'k');
    world.time = 3_600 * SECOND;
    expect(world.ttl.choose(plain, 'k', [])).toBe(60 * SECOND);
    expect(world.ttl.byNamespace.size).toBe(0);
  });
});
