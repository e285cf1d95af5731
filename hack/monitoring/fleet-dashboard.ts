import type { Dashboard, Panel } from './dashboard.ts';
import {
  callLatency,
  completeness,
  connectionFailures,
  eventQueue,
  hitRatio,
  lookupsByAnswer,
  missCauses,
  outbox,
  processPanels,
  propagation,
  quantile,
  rate,
  ratio,
} from './panels.ts';

const AGENTS = 'namespace=~"$namespace",job=~"$job"';

const NOW: readonly Panel[] = [
  {
    title: 'Agents',
    description: 'That are scraped.',
    kind: 'stat',
    width: 3,
    queries: [{ expr: `count(edgecache_agent_info{${AGENTS}})`, legend: '' }],
  },
  {
    title: 'Not healthy',
    description: 'Agents that do not hear all events, or do not reach Redis.',
    kind: 'stat',
    width: 3,
    limits: [1, 2],
    queries: [{ expr: `sum(edgecache_healthy{${AGENTS}} == bool 0)`, legend: '' }],
  },
  {
    title: 'Lookups a second',
    description: 'By all callers.',
    kind: 'stat',
    unit: 'ops',
    width: 4,
    queries: [{ expr: `sum(${rate('edgecache_lookups_total', AGENTS)})`, legend: '' }],
  },
  {
    title: 'From memory',
    description: 'Share of lookups. Promised for skewed popularity: 80 %.',
    kind: 'stat',
    unit: 'percentunit',
    width: 3,
    limits: [0.5, 0.7],
    lowIsBad: true,
    queries: [{ expr: ratio('l1', AGENTS), legend: '' }],
  },
  {
    title: 'From the cache',
    description: 'Memory and Redis together. Alerts: below 70 % and 50 %.',
    kind: 'stat',
    unit: 'percentunit',
    width: 3,
    limits: [0.5, 0.7],
    lowIsBad: true,
    queries: [{ expr: ratio('l1|l2', AGENTS), legend: '' }],
  },
  {
    title: 'Changes take',
    description: 'From the log to memory, p99.',
    kind: 'stat',
    unit: 's',
    width: 4,
    limits: [0.1, 0.5],
    queries: [{ expr: quantile(0.99, 'edgecache_propagation_seconds', AGENTS), legend: '' }],
  },
  {
    title: 'Answers too old',
    description: 'That the audit has found since the agents started. Anything but 0 is a fault.',
    kind: 'stat',
    width: 4,
    limits: [1, 1],
    queries: [{ expr: `sum(edgecache_audit_violations_total{${AGENTS}})`, legend: '' }],
  },
];

const REDIS: readonly Panel[] = [
  {
    title: 'Memory of Redis',
    description: 'Of each master, and what it may use at most.',
    unit: 'bytes',
    queries: [
      { expr: `max by (server) (edgecache_redis_memory_used_bytes{${AGENTS}})`, legend: '{{server}} used' },
      {
        expr: `max by (server) (edgecache_redis_memory_max_bytes{${AGENTS}} > 0)`,
        legend: '{{server}} limit',
        mayBeEmpty: true,
      },
    ],
  },
  {
    title: 'Bytes in Redis by namespace',
    description: 'As accounted, where a namespace has an l2MemoryLimit or not.',
    unit: 'bytes',
    stacked: true,
    queries: [
      { expr: `max by (cache_namespace) (edgecache_l2_bytes{${AGENTS}})`, legend: '{{cache_namespace}}' },
    ],
  },
  connectionFailures(AGENTS),
];

const OPERATOR: readonly Panel[] = [
  {
    title: 'Reconciles',
    description: 'By result, of the operator.',
    unit: 'ops',
    stacked: true,
    queries: [
      { expr: `sum by (result) (${rate('edgecache_operator_reconcile_total', '')})`, legend: '{{result}}' },
    ],
  },
  {
    title: 'Tiers that wait',
    description: 'In the work queue; and replicas that lead, which must be 1.',
    queries: [
      { expr: 'max(edgecache_operator_workqueue_depth)', legend: 'waiting' },
      { expr: 'sum(edgecache_operator_leader)', legend: 'leaders' },
    ],
  },
  {
    title: 'Silence of watches',
    description: 'Bookmarks come once a minute; after three minutes an alert does.',
    unit: 's',
    queries: [
      { expr: 'max by (kind) (edgecache_operator_watch_last_event_age_seconds)', legend: '{{kind}}' },
    ],
  },
];

/** All agents of one or more tiers. */
export const FLEET_DASHBOARD: Dashboard = {
  name: 'fleet',
  uid: 'edgecache-fleet',
  title: 'Edge Cache / Fleet',
  description: 'All agents of one or more tiers, their Redis, and the operator.',
  variables: [
    {
      name: 'namespace',
      label: 'Kubernetes namespace',
      query: 'label_values(edgecache_agent_info, namespace)',
    },
    { name: 'job', label: 'Tier', query: 'label_values(edgecache_agent_info{namespace=~"$namespace"}, job)' },
  ],
  rows: [
    { title: 'Now', panels: NOW },
    { title: 'Lookups', panels: [lookupsByAnswer(AGENTS), hitRatio(AGENTS), missCauses(AGENTS)] },
    {
      title: 'Events',
      panels: [
        propagation(AGENTS),
        eventQueue(AGENTS),
        completeness(AGENTS),
        {
          title: 'Events applied',
          description: 'To memory, by type: over all agents, so a change counts once for each.',
          unit: 'ops',
          queries: [
            {
              expr: `topk(10, sum by (event_type) (${rate('edgecache_events_applied_by_type_total', AGENTS)}))`,
              legend: '{{event_type}}',
            },
          ],
        },
        {
          title: 'Entries taken out of memory',
          description: 'By events, and for want of room.',
          unit: 'ops',
          queries: [
            { expr: `sum(${rate('edgecache_l1_invalidations_total', AGENTS)})`, legend: 'invalidated' },
            { expr: `sum(${rate('edgecache_l1_evictions_total', AGENTS)})`, legend: 'evicted' },
          ],
        },
        outbox(AGENTS),
      ],
    },
    { title: 'Redis', panels: REDIS },
    { title: 'Processes', panels: [callLatency(AGENTS), ...processPanels(AGENTS)] },
    { title: 'Operator', panels: OPERATOR },
  ],
};
