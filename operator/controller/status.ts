import { type EdgeCacheTier, L1_ENTRIES_BY_TIER } from '../../api/tier.ts';
import { type Condition, type TierStatus, tierStatusSchema } from '../../api/tier-status.ts';
import { fieldAt, type KubeObject, numberAt } from '../kube/object.ts';
import { canonicalJson } from '../manifests/canonical.ts';
import { toConditions } from './conditions.ts';
import { findingsOf, type Observation, type RolloutCounts } from './findings.ts';

export interface StatusInput {
  readonly object: KubeObject;
  /** Undefined where the spec could not be read. */
  readonly tier: EdgeCacheTier | undefined;
  readonly configHash: string | undefined;
  readonly observation: Observation;
  readonly now: Date;
}

/** Statistics change all the time; the status tells them this often. */
export const STATS_STATUS_INTERVAL_MS = 30_000;
/** And this often while agents are coming and going, so that a new tier's numbers soon are of all of them. */
const CHANGING_INTERVAL_MS = 5_000;

const STATS_FIELDS = [
  'l1HitPercent',
  'hitPercent',
  'propagationP99Ms',
  'redisMemoryUsedMb',
  'sampledAgents',
  'statsTime',
] as const;

/** The status that a tier should have. Pure; integers only; of a size that does not grow with the nodes. */
export function statusOf(input: StatusInput): TierStatus {
  const { object, observation, now } = input;
  const before = liveStatus(object);
  const generation = object.metadata.generation ?? 0;
  const { rollout, fleet } = observation;
  return {
    conditions: toConditions(findingsOf(observation), before.conditions ?? [], generation, now.toISOString()),
    observedGeneration: generation,
    desiredAgents: rollout?.desired ?? 0,
    readyAgents: rollout?.ready ?? 0,
    updatedAgents: rollout?.updated ?? 0,
    configuredAgents: fleet.configured,
    ...(input.configHash === undefined ? {} : { configHash: input.configHash }),
    ...l1Size(input.tier),
    ...statistics(input, before),
  };
}

function l1Size(tier: EdgeCacheTier | undefined): Pick<TierStatus, 'l1MaxEntries'> {
  if (tier === undefined) return {};
  return { l1MaxEntries: tier.spec.l1.maxEntries ?? L1_ENTRIES_BY_TIER[tier.spec.tier] };
}

function statistics({ observation: { fleet }, now }: StatusInput, before: TierStatus): Partial<TierStatus> {
  const old = Object.fromEntries(
    STATS_FIELDS.filter((name) => before[name] !== undefined).map((name) => [name, before[name]]),
  ) as Partial<TierStatus>;
  if (fleet.stats === undefined) return old;
  const fresh: Partial<TierStatus> = { ...fleet.stats, sampledAgents: fleet.sampled };
  const age = before.statsTime === undefined ? Infinity : now.getTime() - Date.parse(before.statsTime);
  const { statsTime: _, ...oldNumbers } = old;
  // Only the time would differ: not worth a write.
  const interval = fleet.sampled === before.sampledAgents ? STATS_STATUS_INTERVAL_MS : CHANGING_INTERVAL_MS;
  if (age < interval || canonicalJson(oldNumbers) === canonicalJson(fresh)) return old;
  return { ...fresh, statsTime: now.toISOString() };
}

/** The status as it stands; what does not fit (written by a hand or an old version) counts as none. */
export function liveStatus(object: KubeObject): TierStatus {
  const parsed = tierStatusSchema.safeParse(object['status'] ?? {});
  return parsed.success ? parsed.data : {};
}

export function conditionsOf(object: KubeObject): readonly Condition[] {
  return liveStatus(object).conditions ?? [];
}

export function isSameStatus(a: TierStatus, b: TierStatus): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

export function rolloutCountsOf(daemonSet: KubeObject | undefined): RolloutCounts | undefined {
  if (daemonSet === undefined) return undefined;
  const status = (name: string) => numberAt(daemonSet, 'status', name);
  return {
    desired: status('desiredNumberScheduled'),
    ready: status('numberReady'),
    updated: status('updatedNumberScheduled'),
    available: status('numberAvailable'),
    isCurrent: fieldAt(daemonSet, 'status', 'observedGeneration') === daemonSet.metadata.generation,
  };
}
