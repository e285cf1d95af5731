import { type AlertRule, anAlert } from './alert.ts';

/** Whether tiers are seen to. Agents go on serving whatever becomes of the operator. */
export const OPERATOR_ALERTS: readonly AlertRule[] = [
  anAlert({
    name: 'EdgeCacheOperatorWithoutLeader',
    severity: 'warning',
    expr: 'sum(edgecache_operator_leader) < 1 or absent(edgecache_operator_leader)',
    for: '2m',
    summary: 'No replica of the operator leads.',
    description:
      'Agents go on serving. Changes of tiers are not carried out, and their status says nothing new.',
  }),
  anAlert({
    name: 'EdgeCacheOperatorStuck',
    severity: 'warning',
    expr: 'max(edgecache_operator_workqueue_depth) > 0 and sum(rate(edgecache_operator_reconcile_total[10m])) == 0',
    for: '10m',
    summary: 'The operator has work and does none of it.',
    description:
      'Tiers wait to be reconciled, and not one has been for ten minutes. Agents go on serving by what they were told last.',
  }),
  anAlert({
    name: 'EdgeCacheReconcileFails',
    severity: 'warning',
    expr: 'sum(rate(edgecache_operator_reconcile_total{result=~"error|terminal"}[10m])) > 0.05',
    for: '15m',
    summary: 'The operator fails to carry tiers out.',
    description:
      'Three reconciles a minute or more have failed for a quarter of an hour. Tiers that are well are not concerned.',
  }),
  anAlert({
    name: 'EdgeCacheOperatorDeaf',
    severity: 'warning',
    expr: 'max by (kind) (edgecache_operator_watch_last_event_age_seconds) > 180',
    for: '5m',
    summary: 'The operator has heard nothing about {{ $labels.kind }} for {{ $value | humanizeDuration }}.',
    description:
      'The API server sends bookmarks once a minute. Without them the operator does not know what the cluster looks like.',
  }),
  anAlert({
    name: 'EdgeCacheQueueGrows',
    severity: 'warning',
    expr: 'max(edgecache_operator_workqueue_depth) > 100',
    for: '10m',
    summary: '{{ $value }} tiers wait for the operator.',
    description:
      'More changes arrive than it carries out: it is throttled, the API server is slow, or something changes tiers all the time.',
  }),
];
