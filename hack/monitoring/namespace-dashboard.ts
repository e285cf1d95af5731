import type { Dashboard, Panel } from './dashboard.ts';
import { hitRatio, lookupsByAnswer, missCauses, rate, ratio } from './panels.ts';

const OF = 'cache_namespace="$cache_namespace"';
const IN_TIERS = `${OF},job=~"$job"`;

const AGENTS: readonly Panel[] = [
  {
    title: 'Hit ratio by tier',
    description: 'Memory and Redis together.',
    unit: 'percentunit',
    queries: [{ expr: ratio('l1|l2', IN_TIERS, 'job'), legend: '{{job}}' }],
  },
  {
    title: 'Agents that are asked most',
    description: 'Lookups of this namespace; the ten with most.',
    unit: 'ops',
    queries: [
      {
        expr: `topk(10, sum by (instance) (${rate('edgecache_lookups_total', IN_TIERS)}))`,
        legend: '{{instance}}',
      },
    ],
  },
  {
    title: 'Agents with the lowest hit ratio of memory',
    description: 'The ten with the lowest. One that stands out has just started, or callers of its own.',
    unit: 'percentunit',
    queries: [{ expr: `bottomk(10, ${ratio('l1', IN_TIERS, 'instance')})`, legend: '{{instance}}' }],
  },
];

const REDIS: readonly Panel[] = [
  {
    title: 'Bytes in Redis',
    description: 'As accounted.',
    unit: 'bytes',
    queries: [{ expr: `max(edgecache_l2_bytes{${IN_TIERS}})`, legend: 'bytes' }],
  },
  {
    title: 'Evicted from Redis',
    description: 'Entries a second that had to leave to keep the namespace within its l2MemoryLimit.',
    unit: 'ops',
    queries: [{ expr: `max(${rate('edgecache_l2_evictions_total', IN_TIERS)})`, legend: 'evicted' }],
  },
  {
    title: 'Choices of adaptive TTL',
    description:
      'Entries written with a longer, a shorter, or the configured life, where adaptiveTtl is set.',
    unit: 'ops',
    stacked: true,
    queries: [
      {
        expr: `sum by (ttl) (${rate('edgecache_adaptive_ttl_entries_total', IN_TIERS)})`,
        legend: '{{ttl}}',
        mayBeEmpty: true,
      },
    ],
  },
];

/** One namespace of the cache, over all agents. */
export const NAMESPACE_DASHBOARD: Dashboard = {
  name: 'namespace',
  uid: 'edgecache-namespace',
  title: 'Edge Cache / One namespace',
  description: 'One namespace of the cache, over all agents that serve it.',
  variables: [
    {
      name: 'cache_namespace',
      label: 'Namespace',
      query: 'label_values(edgecache_lookups_total, cache_namespace)',
      single: true,
    },
    {
      name: 'job',
      label: 'Tier',
      query: `label_values(edgecache_lookups_total{${OF}}, job)`,
    },
  ],
  rows: [
    { title: 'Lookups', panels: [lookupsByAnswer(IN_TIERS), hitRatio(IN_TIERS), missCauses(IN_TIERS)] },
    { title: 'Agents', panels: AGENTS },
    { title: 'Redis', panels: REDIS },
  ],
};
