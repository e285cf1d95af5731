import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LoggedEvent } from '../../api/event.ts';
import { resolveNamespace } from '../../api/namespace.ts';
import { Analytics } from '../analytics/analytics.ts';
import { Inbox } from '../bus/inbox.ts';
import { Partition } from '../bus/partition.ts';
import type { Entry } from '../l2/entry.ts';
import { L2, L2_DEFAULTS } from '../l2/l2.ts';
import { compareVersions } from '../l2/version.ts';
import { AdaptiveTtl } from '../ttl/adaptive-ttl.ts';
import { Watchers } from '../watch/watchers.ts';
import { Invalidator } from './invalidator.ts';
import { L1 } from './l1.ts';
import { Reader } from './reader.ts';

const RULES = resolveNamespace({ name: 'a', ttlSeconds: 60, pushValueBytes: 64 }, 30);
const KEYS = ['k0', 'k1', 'k2'];
const TTL_MS = 60_000;

/** One agent's memory behind its inbox, beside the Redis that it follows: a log, and what its entries are. */
class World {
  readonly partition = new Partition(0);
  readonly l1 = new L1([RULES], 1, { maxEntries: 10, maxBytes: 100_000 });
  readonly entries = new Map<string, Entry>();
  readonly #log: LoggedEvent[] = [];
  #head = 0;
  readonly #landings: (() => void)[] = [];
  readonly #batches: (() => void)[] = [];
  readonly #reader: Reader;
  readonly #invalidator: Invalidator;
  readonly #inbox: Inbox;

  constructor() {
    this.partition.resetTo({ version: '0-0', eventId: '' });
    const l2 = new L2(
      () => {
        throw new Error('nothing is read here');
      },
      { ...L2_DEFAULTS, cacheId: 'c', partitions: 1, fillLeaseMs: 1_000 },
    );
    this.#reader = new Reader({
      l1: this.l1,
      l2,
      partitions: [this.partition],
      ttl: new AdaptiveTtl({ entries: 10, now: () => 0 }),
      analytics: new Analytics({ entries: 10, now: () => 0, random: () => 0.5 }),
      now: () => 0,
      eventDriven: true,
      answered: () => undefined,
      isQueued: () => false,
      reached: () => undefined,
      isApplied: () => true,
    });
    const watchers = new Watchers({ now: () => 0, freshUntil: () => 0 });
    this.#invalidator = new Invalidator({ rules: () => RULES, l1: this.l1, reader: this.#reader, watchers });
    this.#inbox = new Inbox({
      maxItemsPerLane: 100,
      batchMs: 2,
      now: () => 0,
      schedule: (run) => this.#batches.push(run),
      apply: ({ event, namespaces }) => {
        this.#invalidator.apply(0, namespaces, event, 0);
        this.partition.noteApplied(event.version);
      },
      overflow: () => undefined,
    });
  }

  get replaced(): number {
    return this.#reader.replaced;
  }

  put(key: string, tags: readonly string[], isPushed: boolean): void {
    const version = this.#next();
    const value = Buffer.from(version);
    this.entries.set(key, { version, value, tags, absent: false });
    const put = { ttl_ms: TTL_MS, tags: [...tags], value: value.toString('base64') };
    this.#append(version, { op: 'put', keys: [key], ...(isPushed ? { put } : {}) });
  }

  invalidate(keys: readonly string[], tags: readonly string[]): void {
    for (const [key, entry] of this.entries) {
      const isNamed = keys.includes(key) || tags.some((tag) => entry.tags.includes(tag));
      if (isNamed || (keys.length === 0 && tags.length === 0)) this.entries.delete(key);
    }
    this.#append(this.#next(), { op: 'invalidate', keys: [...keys], tags: [...tags] });
  }

  /** A read of Redis, whose answer lands later. */
  read(key: string): void {
    const entry = this.entries.get(key);
    const head = `${this.#head}-0`;
    if (entry === undefined) return;
    this.#landings.push(() => {
      if (compareVersions(this.partition.applied, head) <= 0) this.l1.set('a', key, 0, entry, TTL_MS, 0);
    });
  }

  land(): void {
    this.#landings.shift()?.();
  }

  receive(): void {
    const event = this.#log.shift();
    if (event === undefined) return;
    this.#inbox.add('bulk', {
      partition: this.partition,
      event: this.#invalidator.lighten(event),
      namespaces: ['a'],
    });
  }

  applyWaiting(): void {
    for (let run = this.#batches.shift(); run !== undefined; run = this.#batches.shift()) run();
  }

  /** Until everything that was sent has come and been applied. */
  settle(): void {
    while (this.#log.length > 0) this.receive();
    this.applyWaiting();
    while (this.#landings.length > 0) this.land();
  }

  #next(): string {
    this.#head += 1;
    return `${this.#head}-0`;
  }

  #append(version: string, fields: Partial<LoggedEvent>): void {
    this.#log.push({
      event_id: version,
      event_type: 'pricing_updated',
      resource_id: '',
      data: {},
      timestamp: 0,
      source_node: 'n',
      affected_namespaces: ['a'],
      keys: [],
      tags: [],
      version,
      prev: `${this.#head - 1}-0`,
      prev_event_id: '',
      op: 'put',
      logged_at_us: 0,
      ...fields,
    });
  }
}

const key = fc.constantFrom(...KEYS);
const tags = fc.subarray(['t', 'u']);
const step: fc.Arbitrary<(world: World) => void> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(key, tags, fc.boolean()).map((args) => (world: World) => world.put(...args)),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.subarray(KEYS), tags).map((args) => (world: World) => world.invalidate(...args)),
  },
  { weight: 4, arbitrary: key.map((name) => (world: World) => world.read(name)) },
  { weight: 4, arbitrary: fc.constant((world: World) => world.land()) },
  { weight: 4, arbitrary: fc.constant((world: World) => world.receive()) },
  { weight: 2, arbitrary: fc.constant((world: World) => world.applyWaiting()) },
  { weight: 1, arbitrary: fc.constant((world: World) => world.settle()) },
);

it('memory never holds what Redis does not, once everything sent has been applied', () => {
  let replaced = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      const world = new World();
      for (const run of steps) run(world);
      world.settle();
      for (const name of KEYS) {
        const held = world.l1.get('a', name);
        if (held === undefined) continue;
        expect(held.version).toBe(world.entries.get(name)?.version);
        expect(held.value.toString()).toBe(held.version);
        expect(held.tags).toEqual(world.entries.get(name)?.tags);
      }
      replaced += world.replaced;
    }),
    { numRuns: 500 },
  );
  // The property would hold of an agent that replaces nothing, too.
  expect(replaced).toBeGreaterThan(50);
});
