import type { Panel, Query } from './dashboard.ts';

/** Panels that several dashboards have; `scope` selects agents, such as `job=~"$job"`. */

const RATE = '$__rate_interval';

export const rate = (metric: string, labels: string): string => `rate(${metric}{${labels}}[${RATE}])`;
export const increase = (metric: string, labels: string): string => `increase(${metric}{${labels}}[${RATE}])`;

/** Of lookups, those that one of the answers was given to. */
export function ratio(answers: string, scope: string, by = ''): string {
  const sum = by === '' ? 'sum' : `sum by (${by})`;
  return `${sum}(${rate('edgecache_lookups_total', `${scope},answer=~"${answers}"`)}) / ${sum}(${rate('edgecache_lookups_total', `${scope},answer!="degraded"`)})`;
}

export function quantile(q: number, metric: string, labels: string, by = ''): string {
  return `histogram_quantile(${q}, sum by (le${by === '' ? '' : `, ${by}`}) (${rate(`${metric}_bucket`, labels)}))`;
}

export function quantiles(metric: string, labels: string): Query[] {
  return [
    { expr: quantile(0.5, metric, labels), legend: 'p50' },
    { expr: quantile(0.99, metric, labels), legend: 'p99' },
  ];
}

export const lookupsByAnswer = (scope: string): Panel => ({
  title: 'Lookups by what answered',
  description:
    'l1: memory; l2: Redis; miss: neither; stale: marked so; degraded: the agent cannot tell, the caller goes to the source of truth.',
  unit: 'ops',
  stacked: true,
  queries: [{ expr: `sum by (answer) (${rate('edgecache_lookups_total', scope)})`, legend: '{{answer}}' }],
});

export const hitRatio = (scope: string): Panel => ({
  title: 'Hit ratio',
  description:
    'Of lookups that were not degraded: those that memory, and memory and Redis together, answered.',
  unit: 'percentunit',
  queries: [
    { expr: ratio('l1', scope), legend: 'memory' },
    { expr: ratio('l1|l2', scope), legend: 'memory and Redis' },
  ],
});

export const missCauses = (scope: string): Panel => ({
  title: 'Why memory did not answer',
  description:
    'cold: never asked for; expired: its TTL was over; invalidated: an event took it out; evicted: no room; unproven: no lease; refresh: about to expire.',
  unit: 'ops',
  stacked: true,
  queries: [
    { expr: `sum by (cause) (${rate('edgecache_l1_misses_by_cause_total', scope)})`, legend: '{{cause}}' },
  ],
});

export const callLatency = (scope: string): Panel => ({
  title: 'Lookups, time at the agent',
  description: 'From the receipt of a call, or of a batch of a stream, to its answer; without the network.',
  unit: 's',
  queries: quantiles('edgecache_call_duration_seconds', `${scope},method=~"Get|BatchGet|Lookup",code="OK"`),
});

export const propagation = (scope: string): Panel => ({
  title: 'Changes, from the log to memory',
  description:
    'How long a change takes to take effect on a node. Promised: p99 below 100 ms; alerts: 0.5 s and 2 s.',
  unit: 's',
  queries: quantiles('edgecache_propagation_seconds', scope),
});

export const eventQueue = (scope: string): Panel => ({
  title: 'Events that wait',
  description: 'Received and not yet applied; the ten agents with most. Alerts: 1,000 and 5,000.',
  queries: [{ expr: `topk(10, sum by (instance) (edgecache_inbox_size{${scope}}))`, legend: '{{instance}}' }],
});

export const completeness = (scope: string): Panel => ({
  title: 'Doubts about completeness',
  description:
    'Gaps closed from the log, partitions dropped, leases lost, event connections lost; how many in each interval.',
  queries: [
    { expr: `sum(${increase('edgecache_gaps_repaired_total', scope)})`, legend: 'gaps closed' },
    { expr: `sum(${increase('edgecache_partition_resets_total', scope)})`, legend: 'partitions dropped' },
    { expr: `sum(${increase('edgecache_leases_lost_total', scope)})`, legend: 'leases lost' },
    {
      expr: `sum(${increase('edgecache_event_subscriptions_lost_total', scope)})`,
      legend: 'event connections lost',
    },
    { expr: `sum(edgecache_partitions_without_lease{${scope}})`, legend: 'partitions without lease' },
  ],
});

export const outbox = (scope: string): Panel => ({
  title: 'Changes that wait for Redis',
  description: 'Accepted and not sent, because Redis is out of reach.',
  queries: [
    { expr: `sum(edgecache_outbox_size{${scope}})`, legend: 'changes' },
    { expr: `max(edgecache_outbox_oldest_age_seconds{${scope}})`, legend: 'seconds of the oldest' },
  ],
});

export const connectionFailures = (scope: string): Panel => ({
  title: 'Failed connections a minute',
  description: 'Of one agent to Redis; the ten with most. Alerts: 5 and 20.',
  queries: [
    {
      expr: `topk(10, 60 * sum by (instance) (${rate('edgecache_redis_connection_failures_total', scope)} + ${rate('edgecache_event_subscriptions_lost_total', scope)}))`,
      legend: '{{instance}}',
    },
  ],
});

export const processPanels = (scope: string): Panel[] => [
  {
    title: 'CPU',
    description: 'Of the process, in cores; the ten with most.',
    queries: [{ expr: `topk(10, ${rate('process_cpu_seconds_total', scope)})`, legend: '{{instance}}' }],
  },
  {
    title: 'Memory of the process',
    description: 'Resident, in the ten with most.',
    unit: 'bytes',
    queries: [{ expr: `topk(10, process_resident_memory_bytes{${scope}})`, legend: '{{instance}}' }],
  },
  {
    title: 'Pauses of the process',
    description: 'Event loop lag, p99: nothing is answered meanwhile. A CPU limit shows here first.',
    unit: 's',
    queries: [{ expr: `topk(10, nodejs_eventloop_lag_p99_seconds{${scope}})`, legend: '{{instance}}' }],
  },
];
