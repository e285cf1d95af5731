import { setTimeout as sleep } from 'node:timers/promises';
import type { StatsResponse } from '../../client/edge-cache-client.ts';
import type { Asked } from '../agents.ts';
import { type Command, EXIT } from '../command.ts';
import { AGENT_OPTIONS, durationOf } from '../find-agents.ts';
import { percent, type Screen, short } from '../screen.ts';
import { statusOf } from '../statuses.ts';
import { wholeNumber } from '../whole-number.ts';
import { statusText } from './fleet.ts';

const NONE = '-';
const DEFAULT_KEYS = 5;
const MAX_KEYS = 100;

export const top: Command = {
  name: 'top',
  usage: '',
  summary:
    'what agents do now, live: rates, hottest and largest keys, why memory did not answer, what another size would do',
  details: 'Ends with Ctrl-C, or after --count looks.',
  words: [0, 0],
  options: {
    ...AGENT_OPTIONS,
    every: { type: 'string', value: 'DURATION', help: 'time between two looks (default 1s)' },
    keys: { type: 'string', value: 'N', help: 'hottest and largest keys to show (default 5; 0: none)' },
    count: { type: 'string', value: 'N', help: 'looks before it ends (default: no end)' },
  },
  examples: ['edgecache top', 'edgecache top --every 5s --count 3 --json'],
  run: async (context) => {
    const { given, screen, signal, now } = context;
    const everyMs = durationOf(given, 'every') ?? 1_000;
    const count = wholeNumber(given, 'count', 1, Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY;
    const keys = wholeNumber(given, 'keys', 0, MAX_KEYS) ?? DEFAULT_KEYS;
    const agents = await context.agents();
    let before = new Map<string, StatsResponse>();
    let at = now();
    for (let look = 0; look < count && !signal.aborted; look++) {
      const asked = await agents.stats(keys);
      const seconds = look === 0 ? 0 : (now() - at) / 1000;
      at = now();
      showTop(screen, asked, before, seconds, keys);
      before = new Map(asked.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
      if (look + 1 < count) await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
    return EXIT.ok;
  },
};

const TOP_HEAD = [
  'AGENT',
  'STATUS',
  'LOOKUPS/S',
  'L1 HITS',
  'HITS',
  'EVENTS/S',
  'P99',
  'ENTRIES',
  'INBOX',
  'OUTBOX',
];

function showTop(
  screen: Screen,
  asked: readonly Asked<StatsResponse>[],
  before: ReadonlyMap<string, StatsResponse>,
  seconds: number,
  keys: number,
): void {
  const rows = asked.map((one) => {
    const { name, value } = one;
    if (value === undefined) return { name, status: statusOf(one) };
    return {
      name,
      status: value.status,
      ...rates(value, before.get(name), seconds),
      analytics: value.analytics,
      l1Misses: missesOf(value, before.get(name)),
    };
  });
  if (screen.json) {
    for (const row of rows) screen.printJson(row);
    return;
  }
  screen.clear();
  screen.table([
    TOP_HEAD,
    ...rows.map((row) => {
      const status = statusText(screen, row.status);
      if (!('lookups' in row)) return [row.name, status];
      const { lookups, l1Hits, hits, events, p99Ms, entries, inbox, outbox } = row;
      // Before a second look there is nothing to compare with.
      const rate = (value: number) => (seconds === 0 ? NONE : short(value));
      return [
        row.name,
        status,
        rate(lookups),
        percent(l1Hits),
        percent(hits),
        rate(events),
        `${p99Ms.toFixed(1)} ms`,
        String(entries),
        String(inbox),
        outbox === 0 ? '0' : screen.style('yellow', String(outbox)),
      ];
    }),
  ]);
  const found = asked.flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value }]));
  if (found.length > 0) showWhy(screen, found, before, keys);
}

/** What was done since the look before; since its start where there was none, or the agent is another. */
function rates(value: StatsResponse, last: StatsResponse | undefined, seconds: number) {
  const old = last !== undefined && last.uptimeMs <= value.uptimeMs ? last : undefined;
  const since = (read: (stats: StatsResponse) => number | undefined) =>
    (read(value) ?? 0) - (old === undefined ? 0 : (read(old) ?? 0));
  const [l1Hits, l1Misses] = [since(({ l1 }) => l1?.hits), since(({ l1 }) => l1?.misses)];
  const l2Hits = since(({ l2 }) => l2?.hits);
  const all = l1Hits + l1Misses;
  const per = seconds === 0 ? 0 : 1 / seconds;
  return {
    lookups: all * per,
    l1Hits: all === 0 ? 0 : l1Hits / all,
    // Several callers may share one read of Redis.
    hits: all === 0 ? 0 : Math.min(1, (l1Hits + l2Hits) / all),
    events: since(({ events }) => events?.processed) * per,
    p99Ms: value.events?.propagationP99Ms ?? 0,
    entries: value.l1?.entries ?? 0,
    inbox: value.events?.inboxSize ?? 0,
    outbox: value.events?.outboxSize ?? 0,
  };
}

type Analytics = NonNullable<StatsResponse['analytics']>;

interface Found {
  readonly name: string;
  readonly value: StatsResponse;
}

/** Why memory did not answer, by agent: since the look before, or since its start. */
function missesOf(value: StatsResponse, last: StatsResponse | undefined): Map<string, number> {
  const sums = new Map<string, number>();
  const add = (stats: StatsResponse, sign: number) => {
    for (const { l1Misses } of stats.namespaces)
      for (const { cause, count } of l1Misses) sums.set(cause, (sums.get(cause) ?? 0) + sign * count);
  };
  add(value, 1);
  if (last !== undefined && last.uptimeMs <= value.uptimeMs) add(last, -1);
  return new Map([...sums].filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a));
}

function showWhy(
  screen: Screen,
  found: readonly Found[],
  before: ReadonlyMap<string, StatsResponse>,
  keys: number,
): void {
  const causes = sumBy(
    found.flatMap(({ name, value }) => [...missesOf(value, before.get(name))]),
    ([cause]) => cause,
    ([, count]) => count,
  );
  const all = causes.reduce((sum, [, count]) => sum + count, 0);
  screen.print();
  screen.table([
    ['NOT IN MEMORY BECAUSE', ''],
    ...(all === 0 ? [['(all was)', '']] : causes.map(([cause, count]) => [cause, percent(count / all)])),
  ]);
  showCurve(screen, found);
  if (keys === 0) return;
  const each = found.map(({ value }) => value.analytics).filter((one): one is Analytics => one !== undefined);
  showKeys(screen, 'HOTTEST KEYS', 'LOOKUPS/S', keys, hottest(each));
  showKeys(screen, 'LARGEST KEYS', 'BYTES', keys, largest(each));
  const churn = sumBy(
    each.flatMap((one) => one.churn),
    ({ eventType }) => eventType,
    ({ dropped }) => dropped,
  );
  showKeys(screen, 'CHANGES', 'ENTRIES DROPPED', keys, churn);
}

function showCurve(screen: Screen, found: readonly Found[]): void {
  const rows = found.flatMap(({ name, value }) => {
    const points = value.analytics?.whatIf ?? [];
    return points.length === 0 ? [] : [[name, ...points.map(({ l1HitRatio }) => percent(l1HitRatio))]];
  });
  const factors = found.flatMap(({ value }) => value.analytics?.whatIf ?? []).map(({ factor }) => factor);
  if (rows.length === 0) return;
  screen.print();
  screen.table([['L1 HITS WITH', ...[...new Set(factors)].map((factor) => `${factor} × SIZE`)], ...rows]);
}

function showKeys(
  screen: Screen,
  what: string,
  of: string,
  most: number,
  counts: readonly [string, number][],
): void {
  if (counts.length === 0) return;
  screen.print();
  screen.table([[what, of], ...counts.slice(0, most).map(([name, count]) => [name, short(count)])]);
}

/** All agents together. */
function hottest(each: readonly Analytics[]): [string, number][] {
  return sumBy(
    each.flatMap((one) => one.hottest),
    ({ namespace, key }) => `${namespace} ${key}`,
    ({ perSecond }) => perSecond,
  );
}

/** A key is as large on each agent that holds it. */
function largest(each: readonly Analytics[]): [string, number][] {
  const sizes = new Map<string, number>();
  for (const { namespace, key, bytes } of each.flatMap((one) => one.largest)) {
    const name = `${namespace} ${key}`;
    sizes.set(name, Math.max(bytes, sizes.get(name) ?? 0));
  }
  return [...sizes].sort(([, a], [, b]) => b - a);
}

/** Largest sum first. */
function sumBy<T>(
  all: readonly T[],
  nameOf: (one: T) => string,
  countOf: (one: T) => number,
): [string, number][] {
  const sums = new Map<string, number>();
  for (const one of all) sums.set(nameOf(one), (sums.get(nameOf(one)) ?? 0) + countOf(one));
  return [...sums].sort(([, a], [, b]) => b - a);
}
