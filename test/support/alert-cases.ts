/** Samples of a series, one a minute, in promtool's notation: `0+60x30` is 0, 60, 120, … */
export type Series = Readonly<Record<string, string>>;

export interface AlertCase {
  readonly when: string;
  /** In place of, or beside, those of a fleet that is well. */
  readonly series: Series;
  readonly atMinutes: number;
  /** All that fires then, and nothing else: `name severity`. */
  readonly fires: readonly string[];
}

const TARGET = 'namespace="shop",job="edgecache-eu-agents",pod="eu-1",instance="10.0.0.1:7481"';
const OTHER = 'namespace="shop",job="edgecache-eu-agents",pod="eu-2",instance="10.0.0.2:7481"';
const OPERATOR = 'namespace="edgecache-system",job="edgecache-operator-metrics",pod="o-1"';
const of = (name: string, labels = '') => `${name}{${TARGET}${labels === '' ? '' : `,${labels}`}}`;
const lookups = (answer: string) => of('edgecache_lookups_total', `cache_namespace="gpu",answer="${answer}"`);
const bucket = (le: string) => of('edgecache_propagation_seconds_bucket', `le="${le}"`);
const operator = (name: string, labels = '') => `${name}{${OPERATOR}${labels === '' ? '' : `,${labels}`}}`;
const certificate = (what: string) =>
  of('edgecache_tls_certificate_expiration_timestamp_seconds', `of="${what}"`);
const GIB = 1024 ** 3;
const DAY = 86_400;

/** A fleet of two that is well, for an hour. */
export const WELL: Series = {
  [lookups('l1')]: '0+6000x60',
  [lookups('l2')]: '0+1000x60',
  [lookups('miss')]: '0+500x60',
  [lookups('degraded')]: '0x60',
  [of('edgecache_audit_violations_total', 'window="100ms"')]: '0x60',
  [of('edgecache_inbox_size', 'lane="critical"')]: '3x60',
  [of('edgecache_inbox_size', 'lane="bulk"')]: '200x60',
  [bucket('0.005')]: '0+600x60',
  [bucket('0.5')]: '0+600x60',
  [bucket('2')]: '0+600x60',
  [bucket('10')]: '0+600x60',
  [bucket('+Inf')]: '0+600x60',
  [of('edgecache_propagation_seconds_count')]: '0+600x60',
  [of('edgecache_partitions_without_lease')]: '0x60',
  [of('edgecache_leases_lost_total')]: '0x60',
  [of('edgecache_partition_resets_total')]: '0x60',
  [of('edgecache_redis_memory_used_bytes', 'server="10.0.1.1:6379"')]: `${0.5 * GIB}x60`,
  [of('edgecache_redis_memory_max_bytes', 'server="10.0.1.1:6379"')]: `${GIB}x60`,
  [of('edgecache_redis_connection_failures_total')]: '4x60',
  [of('edgecache_event_subscriptions_lost_total')]: '1x60',
  [of('edgecache_redis_problems', 'severity="error"')]: '0x60',
  [of('edgecache_redis_problems', 'severity="warning"')]: '1x60',
  [of('edgecache_outbox_oldest_age_seconds')]: '0x60',
  [of('edgecache_outbox_size')]: '0x60',
  [of('edgecache_outbox_refused_total')]: '0x60',
  [certificate('certificate')]: `${90 * DAY}x60`,
  [certificate('ca')]: `${900 * DAY}x60`,
  [of('edgecache_tls_reloads_total', 'result="taken"')]: '0x20 1x40',
  [of('edgecache_tls_reloads_total', 'result="refused"')]: '0x60',
  [of('edgecache_outbox_max_size')]: '100000x60',
  [of('edgecache_healthy')]: '1x60',
  [of('up')]: '1x60',
  [`up{${OTHER}}`]: '1x60',
  [operator('edgecache_operator_leader')]: '1x60',
  [operator('edgecache_operator_workqueue_depth')]: '0x60',
  [operator('edgecache_operator_reconcile_total', 'result="success"')]: '0+6x60',
  [operator('edgecache_operator_reconcile_total', 'result="error"')]: '0x60',
  [operator('edgecache_operator_watch_last_event_age_seconds', 'kind="EdgeCacheTier"')]: '40x60',
};

/** Nobody asks for anything, and nothing changes. */
const IDLE: Series = {
  [lookups('l1')]: '6000x60',
  [lookups('l2')]: '1000x60',
  [lookups('miss')]: '500x60',
  [bucket('0.005')]: '0x60',
  [bucket('0.5')]: '1x60',
  [bucket('2')]: '1x60',
  [bucket('10')]: '1x60',
  [bucket('+Inf')]: '1x60',
  [of('edgecache_propagation_seconds_count')]: '1x60',
  [operator('edgecache_operator_reconcile_total', 'result="success"')]: '6x60',
};

const hits = (perMinute: number, misses: number): Series => ({
  [lookups('l1')]: `0+${perMinute}x60`,
  [lookups('l2')]: '0x60',
  [lookups('miss')]: `0+${misses}x60`,
});

/** All events later than a bound. */
const late = (seconds: '0.5' | '2', perMinute: number): Series => ({
  [bucket('0.005')]: '0x60',
  [bucket('0.5')]: '0x60',
  [bucket('2')]: seconds === '2' ? '0x60' : `0+${perMinute}x60`,
  [bucket('10')]: `0+${perMinute}x60`,
  [bucket('+Inf')]: `0+${perMinute}x60`,
  [of('edgecache_propagation_seconds_count')]: `0+${perMinute}x60`,
});

const used = (share: number, max = GIB): Series => ({
  [of('edgecache_redis_memory_used_bytes', 'server="10.0.1.1:6379"')]: `${share * GIB}x60`,
  [of('edgecache_redis_memory_max_bytes', 'server="10.0.1.1:6379"')]: `${max}x60`,
});

const one = (name: string, values: string, labels = ''): Series => ({ [of(name, labels)]: values });
const both = (name: string) => [`${name} critical`, `${name} warning`];

const HIT_RATIO: readonly AlertCase[] = [
  { when: '72 % are answered', series: hits(720, 280), atMinutes: 30, fires: [] },
  {
    when: '60 % are answered',
    series: hits(600, 400),
    atMinutes: 30,
    fires: ['EdgeCacheHitRatioLow warning'],
  },
  { when: '60 %, for some minutes only', series: hits(600, 400), atMinutes: 8, fires: [] },
  { when: '40 % are answered', series: hits(400, 600), atMinutes: 30, fires: both('EdgeCacheHitRatioLow') },
  { when: '0 % of hardly any lookups', series: hits(0, 30), atMinutes: 30, fires: [] },
  {
    when: 'Redis is away and half of the lookups are degraded',
    series: { [lookups('degraded')]: '0+7500x60' },
    atMinutes: 30,
    fires: [],
  },
  {
    when: 'the audit finds an answer that is too old',
    series: one('edgecache_audit_violations_total', '0x20 1x40', 'window="100ms"'),
    atMinutes: 25,
    fires: ['EdgeCacheStaleAnswer critical'],
  },
];

const EVENTS: readonly AlertCase[] = [
  {
    when: '2,000 events wait',
    series: one('edgecache_inbox_size', '1900x60', 'lane="bulk"'),
    atMinutes: 5,
    fires: ['EdgeCacheEventQueueLong warning'],
  },
  {
    when: '6,000 events wait',
    series: one('edgecache_inbox_size', '6000x60', 'lane="bulk"'),
    atMinutes: 5,
    fires: both('EdgeCacheEventQueueLong'),
  },
  {
    when: 'a burst is over by the next look',
    series: one('edgecache_inbox_size', '0x4 9000 0x55', 'lane="bulk"'),
    atMinutes: 5,
    fires: [],
  },
  {
    when: 'events take a second',
    series: late('0.5', 60),
    atMinutes: 10,
    fires: ['EdgeCacheEventsLate warning'],
  },
  { when: 'events take seconds', series: late('2', 60), atMinutes: 10, fires: both('EdgeCacheEventsLate') },
  { when: 'one late event a minute', series: late('2', 1), atMinutes: 10, fires: [] },
  {
    when: 'leases are lost and stay so',
    series: {
      ...one('edgecache_partitions_without_lease', '0x10 16x50'),
      ...one('edgecache_leases_lost_total', '0x10 16x50'),
    },
    atMinutes: 13,
    fires: ['EdgeCacheLeaseLost warning'],
  },
  {
    when: 'leases are lost for moments, again and again',
    series: one('edgecache_leases_lost_total', '0x10 16x3 32x3 35x43'),
    atMinutes: 20,
    fires: ['EdgeCacheLeasesUnsteady warning'],
  },
  {
    when: 'leases were lost once, in a failover',
    series: one('edgecache_leases_lost_total', '0x10 16x50'),
    atMinutes: 20,
    fires: [],
  },
  {
    when: 'a partition was reset',
    series: one('edgecache_partition_resets_total', '0x20 1x40'),
    atMinutes: 25,
    fires: ['EdgeCachePartitionResets warning'],
  },
  {
    when: 'a partition was reset an hour ago',
    series: one('edgecache_partition_resets_total', '0x20 1x40'),
    atMinutes: 50,
    fires: [],
  },
];

const REDIS: readonly AlertCase[] = [
  {
    when: 'Redis is 85 % full',
    series: used(0.85),
    atMinutes: 10,
    fires: ['EdgeCacheRedisMemoryHigh warning'],
  },
  { when: 'Redis is 97 % full', series: used(0.97), atMinutes: 10, fires: both('EdgeCacheRedisMemoryHigh') },
  { when: 'Redis has no limit', series: used(0.97, 0), atMinutes: 10, fires: [] },
  {
    when: 'ten connections a minute fail',
    series: one('edgecache_redis_connection_failures_total', '0+10x60'),
    atMinutes: 10,
    fires: ['EdgeCacheRedisConnectionsFail warning'],
  },
  {
    when: 'thirty fail, half of them for events',
    series: {
      ...one('edgecache_redis_connection_failures_total', '0+15x60'),
      ...one('edgecache_event_subscriptions_lost_total', '0+15x60'),
    },
    atMinutes: 10,
    fires: both('EdgeCacheRedisConnectionsFail'),
  },
  {
    when: 'Redis evicts by itself',
    series: one('edgecache_redis_problems', '1x60', 'severity="error"'),
    atMinutes: 10,
    fires: ['EdgeCacheRedisSettings warning'],
  },
  {
    when: 'a change has waited for minutes',
    series: {
      ...one('edgecache_outbox_oldest_age_seconds', '0+60x60'),
      ...one('edgecache_outbox_size', '1x60'),
    },
    atMinutes: 5,
    fires: ['EdgeCacheOutboxGrows warning'],
  },
  {
    when: 'the outbox is nearly full',
    series: {
      ...one('edgecache_outbox_oldest_age_seconds', '0+60x60'),
      ...one('edgecache_outbox_size', '90000x60'),
    },
    atMinutes: 5,
    fires: ['EdgeCacheOutboxFull critical', 'EdgeCacheOutboxGrows warning'],
  },
];

const CERTIFICATES: readonly AlertCase[] = [
  {
    // The clock of these tests begins in 1970.
    when: 'a certificate ends in five days',
    series: { [certificate('certificate')]: `${5 * DAY}x60` },
    atMinutes: 20,
    fires: ['EdgeCacheCertificateEnds warning'],
  },
  {
    when: 'an authority ends tomorrow',
    series: { [certificate('ca')]: `${DAY}x60` },
    atMinutes: 20,
    fires: both('EdgeCacheCertificateEnds'),
  },
  {
    when: 'a new certificate is of no use',
    series: one('edgecache_tls_reloads_total', '0x20 1x40', 'result="refused"'),
    atMinutes: 25,
    fires: ['EdgeCacheCertificateRefused warning'],
  },
  {
    when: 'Redis refuses a change that had been accepted',
    series: one('edgecache_outbox_refused_total', '0x20 1x40'),
    atMinutes: 25,
    fires: ['EdgeCacheChangeRefused critical'],
  },
];

const FLEET: readonly AlertCase[] = [
  {
    when: 'one agent of two does not answer',
    series: { [`up{${OTHER}}`]: '1x10 0x50' },
    atMinutes: 20,
    fires: ['EdgeCacheAgentsDown warning'],
  },
  {
    when: 'no agent answers',
    series: { [of('up')]: '0x60', [`up{${OTHER}}`]: '0x60' },
    atMinutes: 20,
    fires: both('EdgeCacheAgentsDown'),
  },
  {
    when: 'an agent is replaced',
    series: { [`up{${OTHER}}`]: '1x10 0x1 1x40' },
    atMinutes: 12,
    fires: [],
  },
  {
    when: 'another job of the cluster is down',
    series: { 'up{namespace="shop",job="web"}': '0x60' },
    atMinutes: 20,
    fires: [],
  },
  {
    when: 'an agent is degraded',
    series: one('edgecache_healthy', '0x60'),
    atMinutes: 5,
    fires: ['EdgeCacheAgentUnhealthy warning'],
  },
];

const OPERATORS: readonly AlertCase[] = [
  {
    when: 'no operator leads',
    series: { [operator('edgecache_operator_leader')]: '0x60' },
    atMinutes: 5,
    fires: ['EdgeCacheOperatorWithoutLeader warning'],
  },
  {
    when: 'no operator is there',
    series: { [operator('edgecache_operator_leader')]: '_x60' },
    atMinutes: 5,
    fires: ['EdgeCacheOperatorWithoutLeader warning'],
  },
  {
    when: 'the operator has work and does none',
    series: {
      [operator('edgecache_operator_workqueue_depth')]: '2x60',
      [operator('edgecache_operator_reconcile_total', 'result="success"')]: '70x60',
    },
    atMinutes: 30,
    fires: ['EdgeCacheOperatorStuck warning'],
  },
  {
    when: 'reconciles fail',
    series: { [operator('edgecache_operator_reconcile_total', 'result="error"')]: '0+6x60' },
    atMinutes: 40,
    fires: ['EdgeCacheReconcileFails warning'],
  },
  {
    when: 'the operator hears nothing',
    series: {
      [operator('edgecache_operator_watch_last_event_age_seconds', 'kind="EdgeCacheTier"')]: '0+60x60',
    },
    atMinutes: 15,
    fires: ['EdgeCacheOperatorDeaf warning'],
  },
  {
    when: 'the queue of the operator is long',
    series: { [operator('edgecache_operator_workqueue_depth')]: '300x60' },
    atMinutes: 15,
    fires: ['EdgeCacheQueueGrows warning'],
  },
];

export const ALERT_CASES: readonly AlertCase[] = [
  { when: 'all is well', series: {}, atMinutes: 60, fires: [] },
  { when: 'there is no traffic', series: IDLE, atMinutes: 60, fires: [] },
  ...HIT_RATIO,
  ...EVENTS,
  ...REDIS,
  ...CERTIFICATES,
  ...FLEET,
  ...OPERATORS,
];
