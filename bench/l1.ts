import { parseArgs } from 'node:util';
import { LRUCache } from 'lru-cache';
import { createStore } from '../agent/cache/policy/create-store.ts';
import { L1_POLICIES } from '../api/tier.ts';
import { randomFrom, zipfRanks } from './synthetic-traces.ts';

const HELP = `Usage: npm run bench:l1 [-- --json]

Measures what a get and a set cost with each eviction policy of L1, next to bare lru-cache, at 500 and 50,000
entries: nanoseconds, best of many short runs, as other work on the machine only ever adds to them.
`;

const SIZES = [500, 50_000];
const ROUNDS = 200;
/** Long enough for the clock, short enough to run undisturbed now and then. */
const OPERATIONS = 5_000;
const VALUE = { some: 'value' };

interface Subject {
  get(key: string): object | undefined;
  set(key: string, value: object): void;
}

interface Cost {
  readonly entries: number;
  readonly name: string;
  /** Nanoseconds of a get that hits, of a set that evicts, and of one request of a mix of both. */
  readonly get: number;
  readonly set: number;
  readonly mixed: number;
}

const { values } = parseArgs({ options: { json: { type: 'boolean' }, help: { type: 'boolean' } } });
if (values.help) process.stdout.write(HELP);
else {
  const costs = SIZES.flatMap(measure);
  process.stdout.write(values.json ? `${JSON.stringify(costs)}\n` : table(costs));
}

function measure(entries: number): Cost[] {
  const subjects = ['lru-cache', ...L1_POLICIES].map((name) => ({
    name,
    best: [Infinity, Infinity, Infinity],
  }));
  const keys = requestsFor(entries);
  const built = subjects.map(({ name }) => [0, 1, 2].map(() => subjectOf(name, entries)));
  for (let round = 0; round < ROUNDS; round++) {
    // All take turns, so that a busy minute hits each of them.
    for (const [i, { best }] of subjects.entries()) {
      const [hits, misses, mixed] = built[i] as [Subject, Subject, Subject];
      const took = [timeGets(hits, entries), timeSets(misses, round), timeMixed(mixed, keys, round)];
      for (const [j, ns] of took.entries()) best[j] = Math.min(best[j] ?? Infinity, ns);
    }
  }
  return subjects.map(({ name, best: [get = 0, set = 0, mixed = 0] }) => ({
    entries,
    name,
    get,
    set,
    mixed,
  }));
}

function subjectOf(name: string, entries: number): Subject {
  if (name === 'lru-cache') {
    const cache = new LRUCache<string, object>({ max: entries, maxSize: Number.MAX_SAFE_INTEGER });
    return { get: (key) => cache.get(key), set: (key, value) => cache.set(key, value, { size: 100 }) };
  }
  const policy = L1_POLICIES.find((known) => known === name) ?? 'default';
  const store = createStore(policy, { maxEntries: entries, maxWeight: Number.MAX_SAFE_INTEGER });
  return { get: (key) => store.get(key), set: (key, value) => store.set(key, value, 100) };
}

/** Keys by chance of Zipf, of ten times as many as there is room for. Made before, as making them costs too. */
function requestsFor(entries: number): string[] {
  const rank = zipfRanks(10 * entries, 0.9, randomFrom(entries));
  return Array.from({ length: 100 * OPERATIONS }, () => `product:${rank()}`);
}

function timeGets(subject: Subject, entries: number): number {
  const keys = Array.from({ length: entries }, (_, i) => `product:${i}`);
  for (const key of keys) if (subject.get(key) === undefined) subject.set(key, VALUE);
  const present = keys.filter((key) => subject.get(key) !== undefined);
  let at = 0;
  return time(() => {
    // A stride that has no common factor with the sizes visits all keys, far apart.
    at = (at + 7919) % present.length;
    subject.get(present[at] ?? '');
  });
}

function timeSets(subject: Subject, round: number): number {
  const keys = Array.from({ length: OPERATIONS }, (_, i) => `product:${round * OPERATIONS + i}`);
  let at = 0;
  return time(() => subject.set(keys[at++] ?? '', VALUE));
}

function timeMixed(subject: Subject, keys: readonly string[], round: number): number {
  let at = (round * OPERATIONS) % keys.length;
  return time(() => {
    const key = keys[at++] ?? '';
    if (subject.get(key) === undefined) subject.set(key, VALUE);
  });
}

function time(operation: () => void): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < OPERATIONS; i++) operation();
  return Number(process.hrtime.bigint() - start) / OPERATIONS;
}

function table(costs: readonly Cost[]): string {
  const cells = (cost: Cost, bare: Cost | undefined) =>
    ([cost.get, cost.set, cost.mixed] as const).map((ns, i) => {
      const base = [bare?.get, bare?.set, bare?.mixed][i] ?? ns;
      return `${ns.toFixed(0).padStart(7)} (${(ns / base).toFixed(2)}×)`;
    });
  const rows = costs.map((cost) => {
    const bare = costs.find(({ name, entries }) => name === 'lru-cache' && entries === cost.entries);
    return `${String(cost.entries).padEnd(8)}${cost.name.padEnd(10)}${cells(cost, bare).join('')}`;
  });
  return `entries store     get, ns        set, ns        mixed, ns\n${rows.join('\n')}\n`;
}
