import { type AlertRule, anAlert, aPair, threshold } from './alert.ts';

/** All agents of a tier: Prometheus names the job after the tier's Service. */
const TIER = 'namespace, job';
const AGENT = 'namespace, job, pod, instance';

/** How lookups fare. */
export const LOOKUP_ALERTS: readonly AlertRule[] = [
  ...aPair({
    name: 'EdgeCacheHitRatioLow',
    thresholds: 'hitRatioPercent',
    // Without traffic there is no ratio, and with little of it none that means anything.
    expr: (percent) => `
      100 * sum by (${TIER}) (rate(edgecache_lookups_total{answer=~"l1|l2"}[10m]))
      / sum by (${TIER}) (rate(edgecache_lookups_total{answer!="degraded"}[10m])) < ${percent}
      and sum by (${TIER}) (rate(edgecache_lookups_total{answer!="degraded"}[10m])) >= ${threshold('hitRatioPercent', 'minLookupsPerSecond')}`,
    for: { warning: '10m', critical: '5m' },
    summary: 'The cache of {{ $labels.job }} answers only {{ printf "%.0f" $value }} % of its lookups.',
    description:
      'Of the lookups of the last ten minutes, memory and Redis together answered too few; the others went to the source of truth, which has their load.',
  }),
  anAlert({
    name: 'EdgeCacheStaleAnswer',
    severity: 'critical',
    expr: `sum by (${AGENT}) (increase(edgecache_audit_violations_total[1h])) > 0`,
    for: '0m',
    summary: 'The agent {{ $labels.pod }} answered with data older than it promises.',
    description:
      'The audit, which compares one in some five hundred answers from memory with Redis, found one that had been replaced for longer than maxStalenessMs when it was given. The promise does not hold.',
  }),
];

/** How events reach memory. */
export const EVENT_ALERTS: readonly AlertRule[] = [
  ...aPair({
    name: 'EdgeCacheEventQueueLong',
    thresholds: 'eventQueue',
    expr: (size) => `sum by (${AGENT}) (edgecache_inbox_size) > ${size}`,
    for: { warning: '1m', critical: '1m' },
    summary: '{{ $value }} events wait to be applied at {{ $labels.pod }}.',
    description:
      'The agent receives events faster than it applies them. Critical namespaces come first; at 20,000 waiting events of a lane it drops the partition that floods it instead.',
  }),
  ...aPair({
    name: 'EdgeCacheEventsLate',
    thresholds: 'eventLatencySeconds',
    expr: (seconds) => `
      histogram_quantile(0.99, sum by (${TIER}, le) (rate(edgecache_propagation_seconds_bucket[5m]))) > ${seconds}
      and sum by (${TIER}) (increase(edgecache_propagation_seconds_count[5m])) >= ${threshold('eventLatencySeconds', 'minEvents')}`,
    for: { warning: '2m', critical: '2m' },
    summary: 'Changes take {{ $value | humanizeDuration }} (p99) to reach the agents of {{ $labels.job }}.',
    description:
      'For so long readers may be given what has been replaced. In critical namespaces that is bounded by maxStalenessMs, beyond which agents ask Redis.',
  }),
  anAlert({
    name: 'EdgeCacheLeaseLost',
    severity: 'warning',
    expr: `max by (${AGENT}) (edgecache_partitions_without_lease) > 0`,
    for: '1m',
    summary:
      'The agent {{ $labels.pod }} cannot prove for {{ $value }} partitions that it has missed nothing.',
    description:
      'Of these partitions memory answers nothing critical: such lookups go to Redis, or are answered degraded where Redis is out of reach. Nothing wrong is answered; it is slower.',
  }),
  anAlert({
    name: 'EdgeCacheLeasesUnsteady',
    severity: 'warning',
    expr: `max by (${AGENT}) (changes(edgecache_leases_lost_total[15m])) >= 3`,
    for: '0m',
    summary: 'The agent {{ $labels.pod }} has lost freshness leases again and again.',
    description:
      'Redis or the way to it answers too slowly for leases to be renewed within maxStalenessMs, time and again. Each time critical lookups wait for Redis.',
  }),
  anAlert({
    name: 'EdgeCachePartitionResets',
    severity: 'warning',
    expr: `sum by (${AGENT}) (increase(edgecache_partition_resets_total[10m])) > 0`,
    for: '0m',
    summary: 'The agent {{ $labels.pod }} dropped {{ printf "%.0f" $value }} partitions of its memory.',
    description:
      'It could not prove that it had all events of these partitions: the log was lost, rewritten or too short, or it was flooded. Lookups go to Redis until memory is warm again.',
  }),
];

/** How Redis fares, and what waits for it. */
export const REDIS_ALERTS: readonly AlertRule[] = [
  ...aPair({
    name: 'EdgeCacheRedisMemoryHigh',
    thresholds: 'redisMemoryPercent',
    // Without maxmemory there is no share; EdgeCacheRedisSettings tells of settings that are not safe.
    expr: (percent) => `
      100 * max by (${TIER}, server) (edgecache_redis_memory_used_bytes / (edgecache_redis_memory_max_bytes > 0)) > ${percent}`,
    for: { warning: '5m', critical: '1m' },
    summary: 'Redis {{ $labels.server }} uses {{ printf "%.0f" $value }} % of its memory.',
    description:
      'A Redis that is full refuses writes: changes wait in the agents’ outboxes, and what was changed is not seen.',
  }),
  ...aPair({
    name: 'EdgeCacheRedisConnectionsFail',
    thresholds: 'connectionFailuresPerMinute',
    expr: (failures) => `
      60 * sum by (${AGENT}) (rate(edgecache_redis_connection_failures_total[5m]) + rate(edgecache_event_subscriptions_lost_total[5m])) > ${failures}`,
    for: { warning: '1m', critical: '1m' },
    summary: 'Connections of {{ $labels.pod }} to Redis fail {{ printf "%.0f" $value }} times a minute.',
    description:
      'The agent reaches Redis only now and then, or not at all: lookups that memory cannot answer are degraded, changes wait.',
  }),
  anAlert({
    name: 'EdgeCacheRedisSettings',
    severity: 'warning',
    expr: `max by (${TIER}) (edgecache_redis_problems{severity="error"}) > 0`,
    for: '5m',
    summary: 'Redis of {{ $labels.job }} is set up so that promises fail.',
    description:
      'For example maxmemory-policy evicts keys by itself, and with them the event log. The agents’ log and /statusz name the setting and its remedy.',
  }),
  anAlert({
    name: 'EdgeCacheOutboxGrows',
    severity: 'warning',
    expr: `max by (${AGENT}) (edgecache_outbox_oldest_age_seconds) > ${threshold('outbox', 'oldestAgeSeconds')}`,
    for: '1m',
    summary:
      'The agent {{ $labels.pod }} has a change for {{ $value | humanizeDuration }} that it cannot send to Redis.',
    description:
      'It was accepted and said to be queued. Other nodes do not know of it yet, and may answer with what was there before.',
  }),
  anAlert({
    name: 'EdgeCacheChangeRefused',
    severity: 'critical',
    expr: `sum by (${AGENT}) (increase(edgecache_outbox_refused_total[1h])) > 0`,
    for: '0m',
    summary: 'Redis refused {{ printf "%.0f" $value }} changes for good that {{ $labels.pod }} had accepted.',
    description:
      'Their callers were told that they are queued. They are lost: other nodes answer with what was there before until its TTL ends.',
  }),
  anAlert({
    name: 'EdgeCacheOutboxFull',
    severity: 'critical',
    expr: `100 * max by (${AGENT}) (edgecache_outbox_size / edgecache_outbox_max_size) > ${threshold('outbox', 'fullPercent')}`,
    for: '0m',
    summary: 'The outbox of {{ $labels.pod }} is {{ printf "%.0f" $value }} % full.',
    description:
      'When it is full the agent refuses changes (EC_OUTBOX_FULL), and applications must hold them back or fail.',
  }),
];

/** Whether the port can be talked to tomorrow. Without TLS there are no such series. */
export const CERTIFICATE_ALERTS: readonly AlertRule[] = [
  ...aPair({
    name: 'EdgeCacheCertificateEnds',
    thresholds: 'certificateDaysLeft',
    expr: (days) =>
      `(min by (${AGENT}, of) (edgecache_tls_certificate_expiration_timestamp_seconds) - time()) / 86400 < ${days}`,
    for: { warning: '10m', critical: '10m' },
    summary: 'The {{ $labels.of }} of {{ $labels.pod }} ends in {{ printf "%.1f" $value }} days.',
    description:
      'When it has ended, clients that check it connect no more. Whoever renews certificates should have done so long before.',
  }),
  anAlert({
    name: 'EdgeCacheCertificateRefused',
    severity: 'warning',
    expr: `sum by (${AGENT}) (increase(edgecache_tls_reloads_total{result="refused"}[15m])) > 0`,
    for: '0m',
    summary: 'The agent {{ $labels.pod }} was given a certificate that it cannot use.',
    description:
      'It goes on with the one that it has, until that ends. A restart would fail: the new one is what it would start with.',
  }),
];

/** Whether agents are there. */
export const FLEET_ALERTS: readonly AlertRule[] = [
  ...aPair({
    name: 'EdgeCacheAgentsDown',
    thresholds: 'agentsDownPercent',
    expr: (percent) => `100 * avg by (${TIER}) (up{job=~"edgecache-.+-agents"} == bool 0) > ${percent}`,
    for: { warning: '3m', critical: '2m' },
    summary: '{{ printf "%.0f" $value }} % of the agents of {{ $labels.job }} do not answer.',
    description:
      'On their nodes applications have no cache: they ask another agent where their client was given one, otherwise the source of truth.',
  }),
  anAlert({
    name: 'EdgeCacheAgentUnhealthy',
    severity: 'warning',
    expr: `min by (${AGENT}) (edgecache_healthy) == 0`,
    for: '2m',
    summary: 'The agent {{ $labels.pod }} does not hear all events or does not reach Redis.',
    description:
      'Critical lookups that it cannot answer with proof go to Redis, or to the source of truth where Redis is out of its reach.',
  }),
];
