import { parseArgs } from 'node:util';
import { LRUCache } from 'lru-cache';
import { createStore } from '../agent/cache/policy/create-store.ts';
import { L1_POLICIES } from '../api/tier.ts';
import { randomFrom, zipfRanks } from './synthetic-traces.ts';

const HELP = `Usage: npm run bench:l1 [-- --json]

Measures what a get and a set cost with each eviction policy of L1, next to bare lru-cache, at 500, 5,000 and
50,000 entries: nanoseconds, best of many short runs, as other work on the machine only ever adds to them.
`;

const SIZES = [500, 5_000, 50_000];
const ROUNDS = 150;
/** Long enough for the clock, short enough to run undisturbed now and then. */
const OPERATIONS = 5_000;
const VALUE = { some: 'value' };

interface Subject {
  get(key: string): object | undefined;
  set(key: string, value: object): void;
}

/** A full cache, and the keys that it is asked for next. */
interface Run {
  readonly subject: Subject;
  readonly nextKey: () => string;
  readonly operation: (subject: Subject, key: string) => void;
  best: number;
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
  const names = ['lru-cache', ...L1_POLICIES];
  const built = names.map((name) => [getsOf(name, entries), setsOf(name, entries), mixOf(name, entries)]);
  for (let round = 0; round < ROUNDS; round++) {
    // All take turns, so that a busy minute hits each of them.
    for (const run of built.flat()) time(run);
  }
  return names.map((name, i) => {
    const [get = 0, set = 0, mixed = 0] = built[i]?.map(({ best }) => best) ?? [];
    return { entries, name, get, set, mixed };
  });
}

function getsOf(name: string, entries: number): Run {
  const subject = subjectOf(name, entries);
  for (let i = 0; i < entries; i++) subject.set(`product:${i}`, VALUE);
  let next = 0;
  // A stride that has no common factor with the sizes visits all keys, far apart.
  const nextKey = () => `product:${(7919 * next++) % entries}`;
  return { subject, nextKey, operation: get, best: Infinity };
}

function setsOf(name: string, entries: number): Run {
  const subject = subjectOf(name, entries);
  let next = 0;
  const nextKey = () => `product:${next++}`;
  for (let i = 0; i < 2 * entries; i++) subject.set(nextKey(), VALUE);
  return { subject, nextKey, operation: set, best: Infinity };
}

/** Keys by chance of Zipf, of ten times as many as there is room for. */
function mixOf(name: string, entries: number): Run {
  const subject = subjectOf(name, entries);
  const rank = zipfRanks(10 * entries, 0.9, randomFrom(entries));
  const nextKey = () => `product:${rank()}`;
  for (let i = 0; i < 5 * entries; i++) getOrSet(subject, nextKey());
  return { subject, nextKey, operation: getOrSet, best: Infinity };
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

function get(subject: Subject, key: string): void {
  subject.get(key);
}

function set(subject: Subject, key: string): void {
  subject.set(key, VALUE);
}

function getOrSet(subject: Subject, key: string): void {
  if (subject.get(key) === undefined) subject.set(key, VALUE);
}

function time(run: Run): void {
  const { subject, nextKey, operation } = run;
  // Strings of their own, as from the network: V8 hashes each once, and what template strings put off is done.
  const keys = Array.from({ length: OPERATIONS }, () => Buffer.from(nextKey()).toString('latin1'));
  const start = process.hrtime.bigint();
  for (const key of keys) operation(subject, key);
  run.best = Math.min(run.best, Number(process.hrtime.bigint() - start) / OPERATIONS);
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
