import type { StatsResponse } from '../../client/edge-cache-client.ts';
import type { Asked } from '../agents.ts';
import { type Command, type Context, EXIT } from '../command.ts';
import { AGENT_OPTIONS, scopeOf } from '../find-agents.ts';
import { Cluster } from '../kube/cluster.ts';
import { duration, percent, type Screen, short } from '../screen.ts';
import { statusOf } from '../statuses.ts';

const NONE = '-';
const ERROR_WIDTH = 60;

export const stats: Command = {
  name: 'stats',
  usage: '',
  summary: 'what each agent holds and has done, and each namespace',
  words: [0, 0],
  options: AGENT_OPTIONS,
  examples: ['edgecache stats', 'edgecache stats -A --json | jq -r .nodeId'],
  run: async ({ agents, screen }) => {
    const asked = await (await agents()).stats();
    if (screen.json) for (const one of asked) screen.printJson(toJson(one));
    else {
      screen.table([AGENT_HEAD, ...asked.map((one) => agentRow(screen, one))]);
      const found = asked.flatMap(({ value }) => value ?? []);
      if (found.length > 0) {
        screen.print();
        screen.table([NAMESPACE_HEAD, ...namespaceRows(found)]);
      }
    }
    return exitOf(asked);
  },
};

export const health: Command = {
  name: 'health',
  usage: '',
  summary: 'whether each agent is well; exit code 1 if one is not',
  words: [0, 0],
  options: AGENT_OPTIONS,
  examples: ['edgecache health && echo all is well'],
  run: async ({ agents, screen }) => {
    const asked = await (await agents()).stats();
    if (screen.json) {
      for (const one of asked)
        screen.printJson({ name: one.name, status: statusOf(one), error: one.error?.message });
    } else {
      const rows = asked.map((one) => [
        one.name,
        statusText(screen, statusOf(one)),
        one.value === undefined ? one.error.message.slice(0, ERROR_WIDTH) : whatIsWrong(one.value),
      ]);
      screen.table([['AGENT', 'STATUS', ''], ...rows]);
    }
    return asked.every(({ value }) => value?.status === 'healthy') ? EXIT.ok : EXIT.failed;
  },
};

export const tiers: Command = {
  name: 'tiers',
  usage: '',
  summary: 'the EdgeCacheTiers of a cluster, and how they are',
  words: [0, 0],
  options: Object.fromEntries(
    ['namespace', 'all-namespaces', 'context'].flatMap((name) => {
      const option = AGENT_OPTIONS[name];
      return option === undefined ? [] : [[name, option]];
    }),
  ),
  examples: ['edgecache tiers -A'],
  run: async ({ given, screen }) => {
    const cluster = new Cluster(scopeOf(given));
    const found = await cluster.tiers();
    if (screen.json) {
      for (const { metadata, spec, status } of found)
        screen.printJson({ namespace: metadata.namespace, name: metadata.name, spec, status });
      return EXIT.ok;
    }
    if (found.length === 0) {
      screen.note(`no EdgeCacheTier in ${cluster.namespace ?? 'the cluster'}; -A looks in all namespaces`);
      return EXIT.ok;
    }
    const rows = found.map(({ metadata, spec, status }) => {
      const ready = status.conditions?.find(({ type }) => type === 'Ready');
      const isWell = ready?.status === 'True';
      return [
        metadata.namespace,
        metadata.name,
        spec.region,
        spec.tier,
        `${status.readyAgents ?? 0}/${status.desiredAgents ?? 0}`,
        status.hitPercent === undefined ? NONE : `${status.hitPercent} %`,
        status.propagationP99Ms === undefined ? NONE : `${status.propagationP99Ms} ms`,
        screen.style(isWell ? 'green' : 'red', ready?.reason ?? 'Unknown'),
        isWell
          ? ''
          : (ready?.message ?? 'the operator has not said anything of it yet').slice(0, ERROR_WIDTH),
      ];
    });
    screen.table([['NAMESPACE', 'TIER', 'REGION', 'KIND', 'READY', 'HITS', 'P99', 'STATUS', ''], ...rows]);
    return EXIT.ok;
  },
};

const AGENT_HEAD = [
  'AGENT',
  'NODE',
  'STATUS',
  'UP',
  'ENTRIES',
  'BYTES',
  'L1 HITS',
  'HITS',
  'EVENTS',
  'P99',
  'REDIS',
];
const NAMESPACE_HEAD = ['NAMESPACE', 'ENTRIES', 'BYTES', 'HITS', 'DROPPED', 'IN REDIS', 'TTL', 'RULES'];

function agentRow(screen: Screen, asked: Asked<StatsResponse>): string[] {
  const { name, value, error } = asked;
  if (value === undefined)
    return [name, NONE, statusText(screen, statusOf(asked)), error.message.slice(0, ERROR_WIDTH)];
  const { l1, l2, events, redis } = value;
  return [
    name,
    value.nodeId,
    statusText(screen, value.status),
    duration(value.uptimeMs),
    `${l1?.entries ?? 0}/${l1?.maxEntries ?? 0}`,
    short(l1?.bytes ?? 0),
    percent(l1?.hitRatio ?? 0),
    percent(totalRatio(l1, l2)),
    short(events?.processed ?? 0),
    `${(events?.propagationP99Ms ?? 0).toFixed(1)} ms`,
    redis?.connected === true ? `${Math.round(redis.memoryUsedMb)} MB` : 'away',
  ];
}

/** The configured TTL; where agents choose, the mean of what they chose. */
function lifeOf(each: StatsResponse['namespaces']): string {
  const configured = duration(each[0]?.ttlMs ?? 0);
  const chosen = each.flatMap(({ adaptiveTtl }) => (adaptiveTtl === undefined ? [] : [adaptiveTtl]));
  const counts = chosen.map(({ longer, shorter, unchanged }) => longer + shorter + unchanged);
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return configured;
  const mean = chosen.reduce((sum, { meanMs }, i) => sum + meanMs * ((counts[i] ?? 0) / all), 0);
  return `${configured}, chosen ~${duration(mean)}`;
}

function totalRatio(l1: StatsResponse['l1'], l2: StatsResponse['l2']): number {
  const [memory, redis, missed] = [l1?.hits ?? 0, l2?.hits ?? 0, (l2?.misses ?? 0) + (l2?.errors ?? 0)];
  const all = memory + redis + missed;
  return all === 0 ? 0 : (memory + redis) / all;
}

/** Sums over the agents. */
function namespaceRows(found: readonly StatsResponse[]): string[][] {
  const names = [...new Set(found.flatMap(({ namespaces }) => namespaces.map(({ name }) => name)))];
  return names.map((name) => {
    const each = found.flatMap(({ namespaces }) => namespaces.filter((one) => one.name === name));
    const sum = (read: (one: (typeof each)[0]) => number) =>
      each.reduce((total, one) => total + read(one), 0);
    const [hits, misses] = [sum((one) => one.hits), sum((one) => one.misses)];
    const [first] = each;
    const rules = [first?.critical ? 'critical' : '', first?.eventDriven ? 'event-driven' : ''];
    return [
      name,
      short(sum(({ entries }) => entries)),
      short(sum(({ bytes }) => bytes)),
      hits + misses === 0 ? NONE : percent(hits / (hits + misses)),
      short(sum(({ invalidations }) => invalidations)),
      inRedis(each),
      lifeOf(each),
      rules.filter((rule) => rule !== '').join(', '),
    ];
  });
}

/** All agents look at the same Redis; one that looked before others may say less. */
function inRedis(each: readonly { readonly l2Bytes: number; readonly l2LimitBytes: number }[]): string {
  const most = (read: (one: (typeof each)[0]) => number) => Math.max(0, ...each.map(read));
  const [bytes, limit] = [most(({ l2Bytes }) => l2Bytes), most(({ l2LimitBytes }) => l2LimitBytes)];
  return limit === 0 ? short(bytes) : `${short(bytes)} of ${short(limit)}`;
}

export function statusText(screen: Screen, status: string): string {
  if (status === 'healthy') return screen.style('green', status);
  return screen.style(status === 'degraded' ? 'yellow' : 'red', status);
}

function whatIsWrong({ redis, events }: StatsResponse): string {
  if (redis?.connected !== true)
    return 'Redis is out of its reach: changes are queued, critical lookups go to loaders';
  if (!redis.pubsubActive) return 'not every partition is heard: critical lookups are answered from Redis';
  return (events?.outboxSize ?? 0) > 0 ? `${events?.outboxSize} changes wait to be sent` : '';
}

function exitOf(asked: readonly Asked<StatsResponse>[]): number {
  return asked.every(({ error }) => error === undefined) ? EXIT.ok : EXIT.failed;
}

function toJson({ name, value, error }: Asked<StatsResponse>): unknown {
  return { name, ...(value ?? { error: error?.message }) };
}

/** For other commands that need every agent's statistics. */
export async function allStats({ agents }: Context): Promise<Asked<StatsResponse>[]> {
  return (await agents()).stats();
}
