import type { StatsResponse } from '../../client/edge-cache-client.ts';

/** What the agents counted between two looks, summed. */
export interface Interval {
  readonly l1HitRatio: number;
  readonly hitRatio: number;
  readonly events: number;
  readonly resets: number;
  readonly gaps: number;
}

type Snapshot = ReadonlyMap<string, StatsResponse>;

/** An agent that was started again counts from zero: then what it has counted since is the difference. */
function grown(now: number, before: number): number {
  return now >= before ? now - before : now;
}

export function compare(before: Snapshot, after: Snapshot): Interval {
  let l1Hits = 0;
  let l1Misses = 0;
  let l2Hits = 0;
  let events = 0;
  let resets = 0;
  let gaps = 0;
  for (const [node, stats] of after) {
    const old = before.get(node);
    l1Hits += grown(stats.l1?.hits ?? 0, old?.l1?.hits ?? 0);
    l1Misses += grown(stats.l1?.misses ?? 0, old?.l1?.misses ?? 0);
    l2Hits += grown(stats.l2?.hits ?? 0, old?.l2?.hits ?? 0);
    events += grown(stats.events?.published ?? 0, old?.events?.published ?? 0);
    resets += grown(stats.events?.partitionResets ?? 0, old?.events?.partitionResets ?? 0);
    gaps += grown(stats.events?.gapsRepaired ?? 0, old?.events?.gapsRepaired ?? 0);
  }
  const lookups = l1Hits + l1Misses;
  return {
    l1HitRatio: lookups === 0 ? 0 : l1Hits / lookups,
    hitRatio: lookups === 0 ? 0 : Math.min(1, (l1Hits + l2Hits) / lookups),
    events,
    resets,
    gaps,
  };
}

/** The machine-readable result; the names are a promise. */
export interface Result {
  readonly l1HitRatio: number;
  readonly hitRatio: number;
  readonly propagationP50Ms: number;
  readonly propagationP99Ms: number;
  readonly lookupP50Ms: number;
  readonly lookupP99Ms: number;
  /** Of a bare gRPC server beside the agents, asked by the same process. */
  readonly echoP99Ms: number;
  readonly lookups: number;
  readonly events: number;
  readonly staleReads: number;
  readonly agents: number;
}

interface Target {
  readonly name: string;
  readonly promised: string;
  readonly actual: (result: Result) => string;
  readonly holds: (result: Result) => boolean;
  /** Why it cannot be judged here, if it cannot. */
  readonly excuse?: (result: Result) => string | undefined;
}

const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
const ms = (value: number) => `${value.toFixed(2)} ms`;

const TARGETS: readonly Target[] = [
  {
    name: 'L1 hit ratio',
    promised: '> 80 %',
    actual: (r) => percent(r.l1HitRatio),
    holds: (r) => r.l1HitRatio > 0.8,
  },
  {
    name: 'L1+L2 hit ratio',
    promised: '> 95 %',
    actual: (r) => percent(r.hitRatio),
    holds: (r) => r.hitRatio > 0.95,
  },
  {
    name: 'propagation p99, worst agent',
    promised: '< 100 ms',
    actual: (r) => `${ms(r.propagationP99Ms)} (p50 ${ms(r.propagationP50Ms)})`,
    holds: (r) => r.propagationP99Ms < 100,
  },
  {
    name: 'lookup p99, one key',
    promised: '< 5 ms',
    actual: (r) => `${ms(r.lookupP99Ms)} (p50 ${ms(r.lookupP50Ms)})`,
    holds: (r) => r.lookupP99Ms < 5,
    // Where other work takes the processor, no server answers in that time, and ours cannot be told from slow ones.
    excuse: (r) =>
      r.echoP99Ms < 5 ? undefined : `not judged: a bare gRPC echo beside it took ${ms(r.echoP99Ms)}`,
  },
  {
    name: 'stale reads beyond the bound',
    promised: '0',
    actual: (r) => String(r.staleReads),
    holds: (r) => r.staleReads === 0,
  },
];

export function allHold(result: Result): boolean {
  return (
    result.lookups > 0 && result.events > 0 && TARGETS.every((target) => verdict(target, result) !== MISSED)
  );
}

const MISSED = 'MISSED';

function verdict({ holds, excuse }: Target, result: Result): string {
  return holds(result) ? 'held' : (excuse?.(result) ?? MISSED);
}

export function summaryLines(result: Result): string[] {
  const rows = TARGETS.map((target) => {
    const { name, promised, actual } = target;
    return [name, promised, actual(result), verdict(target, result)];
  });
  return table([['target', 'promised', 'measured', ''], ...rows]);
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
