import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Background } from './background.ts';
import { Judge, type JudgeOptions, type Verdict } from './judge.ts';

const GRACE_MS = 500;
const STARTED = 1_700_000_000_000;

interface Value {
  readonly version: number;
  readonly at: number;
}

/** One key in a source of truth and in a cache, in a time of their own. */
class World {
  time = 0;
  truth: Value | undefined = { version: 1, at: STARTED };
  cached: Value | undefined = this.truth;
  /** By version: when the source had another one. */
  readonly #replacedAt = new Map<number, number>();
  readonly #due: { readonly at: number; readonly run: () => void }[] = [];

  write(): void {
    if (this.truth !== undefined) this.#replacedAt.set(this.truth.version, this.time);
    this.truth = { version: (this.truth?.version ?? 0) + 1, at: STARTED + this.time };
  }

  /** As of a value that the cache answered: for how long it had not been the truth. */
  ageOf(version: number): number | undefined {
    const since = this.#replacedAt.get(version);
    return since === undefined ? undefined : this.time - since;
  }

  later(ms: number, run: () => void): void {
    this.#due.push({ at: this.time + ms, run });
  }

  pass(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = end;
  }
}

function judgeOf(world: World, more: Partial<JudgeOptions<Value>> = {}): Judge<Value> {
  return new Judge<Value>({
    source: async () => world.truth,
    background: new Background({ most: 10, atOnce: 2 }),
    graceMs: GRACE_MS,
    deadlineMs: 1_000,
    delay: async (ms) => world.pass(ms),
    now: () => world.time,
    wallClock: () => STARTED + world.time,
    versionOf: ({ version }) => version,
    ...more,
  });
}

const lookAt = (world: World) => async () =>
  world.cached === undefined ? undefined : { value: world.cached };

function judge(world: World, more: Partial<JudgeOptions<Value>> = {}): Promise<Verdict> {
  return judgeOf(world, more).judge('k', world.cached, lookAt(world));
}

describe('an answer', () => {
  it('that is the truth agrees, and costs one look at the source', async () => {
    const world = new World();
    let looks = 0;
    const source = async () => {
      looks += 1;
      return world.truth;
    };
    expect(await judge(world, { source })).toEqual({ kind: 'agreed' });
    expect(looks).toBe(1);
  });

  it('is compared as JSON without versions, as a cache of JSON would give it back', async () => {
    const at = new Date(STARTED);
    const source = async () => ({ b: undefined, at, a: 1 }) as unknown;
    const options = { ...judgeOptionsOf(new World()), source };
    const verdict = await new Judge<unknown>(options).judge(
      'k',
      { a: 1, at: at.toISOString() },
      async () => undefined,
    );
    expect(verdict).toEqual({ kind: 'agreed' });
  });

  it('that is still old after the grace is stale; its age is what the source says of it', async () => {
    const world = new World();
    world.write();
    world.pass(7_000);
    const changedAt = ({ at }: Value) => at;
    expect(await judge(world, { changedAt })).toEqual({ kind: 'stale', ageMs: 7_000 + GRACE_MS });
  });

  it('is at least as old as the judge has seen, where the source says nothing', async () => {
    const world = new World();
    world.write();
    world.pass(7_000);
    expect(await judge(world)).toEqual({ kind: 'stale', ageMs: GRACE_MS });
  });

  it('is stale where the source has no such thing any more', async () => {
    const world = new World();
    world.truth = undefined;
    expect(await judge(world, { changedAt: ({ at }) => at })).toEqual({ kind: 'stale', ageMs: GRACE_MS });
  });

  it.each([
    ['dropped', undefined],
    ['replaced', { version: 2, at: STARTED }],
  ])('that is %s within the grace was in flight', async (_, next) => {
    const world = new World();
    world.write();
    world.later(GRACE_MS - 1, () => {
      world.cached = next;
    });
    expect(await judge(world)).toEqual({ kind: 'inFlight' });
  });

  it('that is newer than what a lagging source says is ahead, not stale', async () => {
    const world = new World();
    world.cached = { version: 2, at: STARTED };
    expect(await judge(world)).toEqual({ kind: 'ahead' });
    const unordered = ({ version }: Value) => `v${version}`;
    expect((await judge(world, { versionOf: unordered })).kind).toBe('stale');
  });

  it('of a source that never stands still cannot be judged, unless its version says that it is old', async () => {
    const world = new World();
    const source = async () => {
      world.write();
      return world.truth;
    };
    const unordered = ({ version }: Value) => `v${version}`;
    expect(await judge(world, { source, versionOf: unordered })).toEqual({ kind: 'moving' });
    expect((await judge(world, { source })).kind).toBe('stale');
  });

  it('of a source that does not answer ends in an error', async () => {
    const source = () => new Promise<Value>(() => undefined);
    await expect(judge(new World(), { source, deadlineMs: 10 })).rejects.toThrow(
      'the source of truth did not answer',
    );
  });
});

function judgeOptionsOf(world: World) {
  return {
    background: new Background({ most: 10, atOnce: 2 }),
    graceMs: GRACE_MS,
    deadlineMs: 1_000,
    delay: async (ms: number) => world.pass(ms),
    now: () => world.time,
    wallClock: () => STARTED + world.time,
  };
}

/** What may happen to the key at any time. */
type Act =
  /** A change, and so much later the cache is told. */
  | { readonly kind: 'write'; readonly toldAfterMs: number; readonly withValue: boolean }
  | { readonly kind: 'write'; readonly toldAfterMs: undefined }
  /** A reader that finds nothing loads, and writes what it has loaded so much later. */
  | { readonly kind: 'load'; readonly tookMs: number }
  | { readonly kind: 'expire' }
  | { readonly kind: 'wait'; readonly ms: number };

function perform(world: World, act: Act): void {
  switch (act.kind) {
    case 'wait':
      world.pass(act.ms);
      return;
    case 'expire':
      world.cached = undefined;
      return;
    case 'load': {
      const loaded = world.truth;
      world.later(act.tookMs, () => {
        world.cached = loaded;
      });
      return;
    }
    case 'write':
      world.write();
      if (act.toldAfterMs === undefined) return;
      // Whoever tells looks at the source then, so that the last one told has the last word.
      world.later(act.toldAfterMs, () => {
        world.cached = act.withValue ? world.truth : undefined;
      });
  }
}

const withinGrace = fc.integer({ min: 0, max: GRACE_MS - 1 });
const told = fc.record({
  kind: fc.constant('write' as const),
  toldAfterMs: withinGrace,
  withValue: fc.boolean(),
});
const untold = fc.constant<Act>({ kind: 'write', toldAfterMs: undefined });
const waits = fc.record({
  kind: fc.constant('wait' as const),
  ms: fc.integer({ min: 0, max: 2 * GRACE_MS }),
});
const expiry = fc.constant<Act>({ kind: 'expire' });
/** A load that takes no time is one that a change cannot overtake: a fill under a lease. */
const guardedLoad = fc.constant<Act>({ kind: 'load', tookMs: 0 });
const racingLoad = fc.record({
  kind: fc.constant('load' as const),
  tookMs: fc.integer({ min: 0, max: 2 * GRACE_MS }),
});

/** Judges while things happen: before each thing that the judge does, and after it. */
async function judgeAmid(world: World, acts: readonly Act[], counts: readonly number[]) {
  const open = [...acts];
  const shares = [...counts];
  const happen = () => {
    for (const act of open.splice(0, shares.shift() ?? 0)) perform(world, act);
  };
  const amid =
    <R>(work: () => R) =>
    async (): Promise<R> => {
      happen();
      const result = work();
      happen();
      return result;
    };
  const answers: { readonly version: number; readonly ageMs: number | undefined }[] = [];
  const answer = amid(() => {
    const { cached } = world;
    if (cached !== undefined) answers.push({ version: cached.version, ageMs: world.ageOf(cached.version) });
    return cached === undefined ? undefined : { value: cached };
  });
  const given = await answer();
  if (given === undefined) return undefined;
  const judgeAt = judgeOf(world, {
    source: amid(() => world.truth),
    delay: async (ms) => amid(() => world.pass(ms))(),
    changedAt: ({ at }) => at,
  });
  return { verdict: await judgeAt.judge('k', given.value, answer), last: answers.at(-1) };
}

describe('whatever happens while an answer is judged', () => {
  const counts = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 20 });

  it('nothing is called stale in a cache that hears of every change within the grace', async () => {
    const acts = fc.array(fc.oneof(told, told, waits, expiry, guardedLoad), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(acts, counts, async (happening, shares) => {
        const judged = await judgeAmid(new World(), happening, shares);
        expect(judged?.verdict.kind).not.toBe('stale');
      }),
      { numRuns: 2_000 },
    );
  });

  it('what is called stale had not been the truth for longer than the grace, and for as long as is said', async () => {
    const acts = fc.array(fc.oneof(told, untold, waits, expiry, racingLoad), { maxLength: 40 });
    let stale = 0;
    await fc.assert(
      fc.asyncProperty(acts, counts, async (happening, shares) => {
        const judged = await judgeAmid(new World(), happening, shares);
        if (judged?.verdict.kind !== 'stale') return;
        stale += 1;
        expect(judged.last?.ageMs).toBeGreaterThanOrEqual(GRACE_MS);
        expect(judged.verdict.ageMs).toBeGreaterThanOrEqual(GRACE_MS);
        expect(judged.verdict.ageMs).toBeLessThanOrEqual(judged.last?.ageMs ?? 0);
      }),
      { numRuns: 2_000 },
    );
    // Otherwise nothing was tested.
    expect(stale).toBeGreaterThan(50);
  });
});
