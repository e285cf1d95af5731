import type { Dashboard, Panel } from './dashboard.ts';
import {
  callLatency,
  completeness,
  connectionFailures,
  hitRatio,
  lookupsByAnswer,
  missCauses,
  outbox,
  processPanels,
  propagation,
  quantile,
  rate,
} from './panels.ts';

const AGENT = 'instance="$instance"';

const MEMORY: readonly Panel[] = [
  {
    title: 'Entries in memory',
    description: 'And how many there may be.',
    queries: [
      { expr: `edgecache_l1_entries{${AGENT}}`, legend: 'entries' },
      { expr: `edgecache_l1_max_entries{${AGENT}}`, legend: 'limit' },
    ],
  },
  {
    title: 'Bytes of entries in memory',
    description: 'Keys and tags included, and how many there may be.',
    unit: 'bytes',
    queries: [
      { expr: `edgecache_l1_bytes{${AGENT}}`, legend: 'bytes' },
      { expr: `edgecache_l1_max_bytes{${AGENT}}`, legend: 'limit' },
    ],
  },
  {
    title: 'What another size would answer',
    description: 'Share of lookups, if memory had half, once, twice or four times its size: an estimate.',
    unit: 'percentunit',
    queries: [{ expr: `edgecache_l1_what_if_hit_ratio{${AGENT}}`, legend: 'size × {{size}}' }],
  },
  {
    title: 'Entries that leave memory',
    description: 'Taken out by events, replaced by an event’s value, evicted for want of room.',
    unit: 'ops',
    queries: [
      { expr: rate('edgecache_l1_invalidations_total', AGENT), legend: 'invalidated' },
      { expr: rate('edgecache_l1_replacements_total', AGENT), legend: 'replaced' },
      { expr: rate('edgecache_l1_evictions_total', AGENT), legend: 'evicted' },
    ],
  },
  {
    title: 'Room that the process has',
    description:
      'What is used of the container’s memory and of the heap; and the share of its size that memory has.',
    unit: 'percentunit',
    queries: [
      { expr: `edgecache_memory_used_ratio{${AGENT}}`, legend: '{{of}} used' },
      { expr: `edgecache_l1_size_ratio{${AGENT}}`, legend: 'size of memory' },
    ],
  },
];

const EVENTS: readonly Panel[] = [
  propagation(AGENT),
  {
    title: 'Events',
    description: 'Received in order, applied, merged with an equal one that waited, and heard twice.',
    unit: 'ops',
    queries: [
      { expr: rate('edgecache_events_received_total', AGENT), legend: 'received' },
      { expr: rate('edgecache_events_applied_total', AGENT), legend: 'applied' },
      { expr: rate('edgecache_events_merged_total', AGENT), legend: 'merged' },
      { expr: rate('edgecache_event_duplicates_total', AGENT), legend: 'heard twice' },
    ],
  },
  {
    title: 'Events that wait',
    description: 'By lane: critical namespaces come first.',
    queries: [{ expr: `edgecache_inbox_size{${AGENT}}`, legend: '{{lane}}' }],
  },
  completeness(AGENT),
  {
    title: 'Followers',
    description: 'Clients that follow invalidations, and those of them that may answer from a near cache.',
    queries: [
      { expr: `edgecache_watchers{${AGENT}}`, legend: 'follow' },
      { expr: `edgecache_watchers_leased{${AGENT}}`, legend: 'with a lease' },
    ],
  },
];

const CALLS: readonly Panel[] = [
  {
    title: 'Calls by method and outcome',
    description: 'Each batch of a Lookup stream is one.',
    unit: 'ops',
    queries: [
      {
        expr: `sum by (method, code) (${rate('edgecache_call_duration_seconds_count', AGENT)})`,
        legend: '{{method}} {{code}}',
      },
    ],
  },
  callLatency(AGENT),
  {
    title: 'Changes, time at the agent',
    description:
      'p99 by method: Redis makes them, so its time is in it; with confirm that of the slowest agent too.',
    unit: 's',
    queries: [
      {
        expr: quantile(
          0.99,
          'edgecache_call_duration_seconds',
          `${AGENT},method=~"Put|Invalidate|Publish|Fill",code="OK"`,
          'method',
        ),
        legend: '{{method}}',
      },
    ],
  },
];

const REDIS: readonly Panel[] = [
  {
    title: 'Lookups at Redis',
    description: 'What became of those that memory did not answer; and reads that wait for their turn.',
    queries: [
      { expr: rate('edgecache_l2_hits_total', AGENT), legend: 'found, a second' },
      { expr: rate('edgecache_l2_misses_total', AGENT), legend: 'not there, a second' },
      { expr: rate('edgecache_l2_errors_total', AGENT), legend: 'failed, a second' },
      { expr: `edgecache_l2_reads_waiting{${AGENT}}`, legend: 'waiting' },
    ],
  },
  connectionFailures(AGENT),
  outbox(AGENT),
];

/** One agent. */
export const NODE_DASHBOARD: Dashboard = {
  name: 'node',
  uid: 'edgecache-node',
  title: 'Edge Cache / One node',
  description: 'The agent of one node: what it answers, holds, hears and waits for.',
  variables: [
    {
      name: 'instance',
      label: 'Node',
      query: 'query_result(edgecache_agent_info)',
      // Results name their labels in order of the alphabet.
      regex: '/instance="(?<value>[^"]+)".*node_id="(?<text>[^"]+)"/',
      single: true,
    },
  ],
  rows: [
    {
      title: 'Now',
      panels: [
        {
          title: 'Healthy',
          description: '1: events are complete, and Redis answers.',
          kind: 'stat',
          width: 4,
          limits: [1, 1],
          lowIsBad: true,
          queries: [{ expr: `edgecache_healthy{${AGENT}}`, legend: '' }],
        },
        {
          title: 'What it is',
          description: 'Node, region, tier and cache.',
          kind: 'table',
          width: 20,
          queries: [{ expr: `edgecache_agent_info{${AGENT}}`, legend: '' }],
        },
      ],
    },
    { title: 'Lookups', panels: [lookupsByAnswer(AGENT), hitRatio(AGENT), missCauses(AGENT)] },
    { title: 'Memory', panels: MEMORY },
    { title: 'Events', panels: EVENTS },
    { title: 'Calls', panels: CALLS },
    { title: 'Redis', panels: REDIS },
    { title: 'Process', panels: processPanels(AGENT) },
  ],
};
