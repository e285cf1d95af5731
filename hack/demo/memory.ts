import { setTimeout as delay } from 'node:timers/promises';
import type { StatsResponse } from '../../client/edge-cache-client.ts';
import { table } from './report.ts';
import { type Node, statsOf } from './stack.ts';

/** How long a restarted agent is watched. */
const AFTER_RESTART_MS = 10_000;
const AWAY_MS = 20_000;
const LOOK_MS = 50;

type All = ReadonlyMap<string, StatsResponse>;

/** What a restarted agent answered from memory at first. */
export interface Restarted {
  readonly nodeId: string;
  readonly preloaded: number;
  readonly hitRatio: number;
}

/** Kills an agent under load, and watches the one that takes its place. Undefined where none did in time. */
export async function killAndWatch(node: Node, signal: AbortSignal): Promise<Restarted | undefined> {
  const { pid, nodeId } = node.agent;
  node.agent.signal('SIGKILL');
  const back = await untilUp(node, pid, signal);
  if (!back) return undefined;
  await delay(AFTER_RESTART_MS, undefined, { signal });
  const { l1 } = (await statsOf(node)) ?? {};
  return l1 === undefined ? undefined : { nodeId, preloaded: l1.preloaded, hitRatio: l1.hitRatio };
}

async function untilUp(node: Node, oldPid: number, signal: AbortSignal): Promise<boolean> {
  for (let waited = 0; waited < AWAY_MS; waited += LOOK_MS) {
    if (node.agent.pid !== oldPid && (await statsOf(node))?.status === 'healthy') return true;
    await delay(LOOK_MS, undefined, { signal });
  }
  return false;
}

/** What Prometheus would read of an agent, by name and labels; nothing while it is away. */
export async function metricsOf({ agent }: Node): Promise<ReadonlyMap<string, number>> {
  try {
    const text = await (await agent.fetch('/metrics')).text();
    const lines = text.split('\n').filter((line) => line.startsWith('edgecache_'));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    );
  } catch {
    return new Map();
  }
}

/** A row for each thing that memory does by itself. */
export function memoryLines(
  all: All,
  metrics: readonly ReadonlyMap<string, number>[],
  restarted: Restarted | undefined,
): string[] {
  const stats = [...all.values()];
  return table([
    ['memory', 'how it is doing', ''],
    ['eviction policy', curveOf(all), 'l1.policy'],
    ['memory pressure', pressureOf(stats, metrics), 'on'],
    ['bytes in Redis', redisOf(stats), 'l2MemoryLimit'],
    ['compression', compressionOf(stats), 'compressAboveBytes'],
    ['adaptive TTL', ttlOf(stats), 'adaptiveTtl'],
    ['warm-up', warmUpOf(restarted), 'l1.preload'],
    ['update in place', replacedOf(stats, metrics), 'pushValueBytes'],
    ['analytics', analyticsOf(stats), 'edgecache top'],
  ]);
}

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
const size = (bytes: number) =>
  bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
const most = (values: readonly number[]) => Math.max(0, ...values);

function curveOf(all: All): string {
  const [name, smallest] =
    [...all].sort(([, a], [, b]) => (a.l1?.maxEntries ?? 0) - (b.l1?.maxEntries ?? 0))[0] ?? [];
  const points = smallest?.analytics?.whatIf ?? [];
  if (points.length === 0) return `${name}: too few lookups to say what another size would answer`;
  const shown = points.map(({ factor, l1HitRatio }) => `${factor}× ${percent(l1HitRatio)}`);
  return `${name}, ${smallest?.l1?.maxEntries} entries: L1 hits by size ${shown.join(', ')}`;
}

function pressureOf(
  stats: readonly StatsResponse[],
  metrics: readonly ReadonlyMap<string, number>[],
): string {
  const used = ['cgroup', 'heap'].flatMap((of) => {
    const ratios = metrics.flatMap((one) => one.get(`edgecache_memory_used_ratio{of="${of}"}`) ?? []);
    return ratios.length === 0 ? [] : [`${of} ${percent(most(ratios))}`];
  });
  const share = Math.min(1, ...stats.map(({ l1 }) => l1?.sizeShare ?? 1));
  return `fullest: ${used.join(', ')}; agents keep ${percent(share)} of what is configured`;
}

function redisOf(stats: readonly StatsResponse[]): string {
  const names = [...new Set(stats.flatMap(({ namespaces }) => namespaces.map(({ name }) => name)))];
  const [largest] = names
    .map((name) => {
      const each = stats.flatMap(({ namespaces }) => namespaces.filter((one) => one.name === name));
      return {
        name,
        bytes: most(each.map(({ l2Bytes }) => l2Bytes)),
        limit: most(each.map(({ l2LimitBytes }) => l2LimitBytes)),
        evicted: most(each.map(({ l2Evictions }) => l2Evictions)),
      };
    })
    .sort((a, b) => b.bytes - a.bytes);
  if (largest === undefined) return 'nothing';
  const { name, bytes, limit, evicted } = largest;
  const of = limit === 0 ? '' : ` of ${size(limit)}`;
  return `largest: ${name} ${size(bytes)}${of}, ${evicted} entries evicted`;
}

function compressionOf(stats: readonly StatsResponse[]): string {
  const [plain, stored] = [
    sum(stats.map(({ l2 }) => l2?.plainBytes ?? 0)),
    sum(stats.map(({ l2 }) => l2?.storedBytes ?? 0)),
  ];
  if (plain === 0) return 'no value was large enough';
  return `${size(plain)} of lists became ${size(stored)}: ${(plain / stored).toFixed(1)} times smaller`;
}

function ttlOf(stats: readonly StatsResponse[]): string {
  const chosen = stats.flatMap(({ namespaces }) =>
    namespaces.flatMap(({ adaptiveTtl }) => (adaptiveTtl === undefined ? [] : [adaptiveTtl])),
  );
  const [longer, shorter, unchanged] = (['longer', 'shorter', 'unchanged'] as const).map((which) =>
    sum(chosen.map((one) => one[which])),
  );
  return `${longer} entries live longer, ${shorter} shorter, ${unchanged} as configured`;
}

function warmUpOf(restarted: Restarted | undefined): string {
  if (restarted === undefined) return 'no agent was restarted';
  const { nodeId, preloaded, hitRatio } = restarted;
  return `${nodeId} killed: ${preloaded} entries preloaded, ${percent(hitRatio)} L1 hits in its first 10 s`;
}

function replacedOf(
  stats: readonly StatsResponse[],
  metrics: readonly ReadonlyMap<string, number>[],
): string {
  const replaced = sum(metrics.map((one) => one.get('edgecache_l1_replacements_total') ?? 0));
  const dropped = sum(stats.map(({ events }) => events?.invalidations ?? 0));
  return `${replaced} entries replaced by their events, ${dropped} dropped`;
}

function analyticsOf(stats: readonly StatsResponse[]): string {
  const [hottest] = stats
    .flatMap(({ analytics }) => analytics?.hottest ?? [])
    .sort((a, b) => b.perSecond - a.perSecond);
  const causes = new Map<string, number>();
  for (const { cause, count } of stats.flatMap(({ namespaces }) =>
    namespaces.flatMap(({ l1Misses }) => l1Misses),
  ))
    causes.set(cause, (causes.get(cause) ?? 0) + count);
  const all = sum([...causes.values()]);
  const shown = [...causes]
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([cause, count]) => `${cause} ${percent(count / all)}`);
  const hot = hottest === undefined ? '' : `hottest ${hottest.key} ${hottest.perSecond.toFixed(0)}/s; `;
  return `${hot}misses: ${shown.join(', ')}`;
}
