import type { StatsSources } from '../stats.ts';
import type { Declarations } from './declarations.ts';

/** Events, the proof that none is missing, and changes that wait. */
export function eventMetrics(sources: StatsSources, declare: Declarations): void {
  receivedMetrics(sources, declare);
  leaseMetrics(sources, declare);
  changeMetrics(sources, declare);
}

function receivedMetrics({ feed, inbox, eventsApplied }: StatsSources, declare: Declarations): void {
  const { counters } = feed;
  declare.counter('events_received', 'Events received in order.', () => counters.received);
  declare.counter('events_applied', 'Events applied to memory.', eventsApplied);
  declare.counter('events_merged', 'Events merged with an equal one that was waiting.', () => inbox.merged);
  declare.counter(
    'event_duplicates',
    'Messages of events that had been received before.',
    () => counters.duplicates,
  );
  declare.counter('event_poisoned', 'Messages that were not events, skipped.', () => counters.poisoned);
  declare.gauges(
    'inbox_size',
    'Events received and not yet applied, by lane: critical namespaces come first.',
    ['lane'],
    () => (['critical', 'bulk'] as const).map((lane) => [{ lane }, inbox.laneSize(lane)] as const),
  );
  declare.gauge(
    'last_event_age_seconds',
    'Time since the last event.',
    () => (feed.lastEventAgeMs ?? 0) / 1000,
  );
}

function leaseMetrics({ feed, config }: StatsSources, declare: Declarations): void {
  const { counters, partitions } = feed;
  declare.counter('gaps_repaired', 'Gaps in a partition closed from the log.', () => counters.gapsRepaired);
  declare.counter(
    'partition_resets',
    'Partitions dropped because completeness could not be proved.',
    () => counters.resets,
  );
  declare.counter('lease_renewals', 'Freshness leases renewed.', () => counters.renewals);
  declare.counter('lease_renewal_failures', 'Renewals that failed.', () => counters.renewalFailures);
  declare.counter(
    'leases_lost',
    'Times that the freshness lease of a partition was not renewed in time.',
    () => counters.leasesLost,
  );
  declare.gauge(
    'partitions_without_lease',
    'Partitions of which memory may answer nothing critical now; 0 where events are off.',
    () => (config().eventDriven ? partitions.length - feed.leased : 0),
  );
  declare.gauge('partitions_subscribed', 'Partitions with a standing subscription.', () => feed.subscribed);
  declare.counter(
    'event_subscriptions_lost',
    'Event connections that ended or were given up; each is made anew.',
    () => counters.subscriptionsLost,
  );
}

function changeMetrics({ changes, outbox, watchers, config }: StatsSources, declare: Declarations): void {
  declare.counter('changes_published', 'Changes that this agent made in Redis.', () => changes.published);
  declare.counter('outbox_sent', 'Queued changes sent when Redis was back.', () => outbox.sent);
  declare.counter('outbox_refused', 'Queued changes that Redis refused for good.', () => outbox.refused);
  declare.gauge('outbox_size', 'Changes accepted and not yet sent.', () => outbox.size);
  declare.gauge(
    'outbox_max_size',
    'Most changes that may wait; more are refused.',
    () => config().outbox.maxItems,
  );
  declare.gauge('outbox_bytes', 'Bytes of changes accepted and not yet sent.', () => outbox.bytes);
  declare.gauge(
    'outbox_oldest_age_seconds',
    'How long the oldest change that is not yet sent has waited; 0 where none waits.',
    () => outbox.oldestAgeMs / 1000,
  );
  declare.gauge('watchers', 'Clients that follow invalidations.', () => watchers.size);
  declare.gauge(
    'watchers_leased',
    'Of these, those that may answer from a near cache.',
    () => watchers.leased,
  );
}
