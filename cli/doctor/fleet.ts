import { duration, percent } from '../screen.ts';
import { ENOUGH_LOOKUPS, type Examined, type Finding } from './finding.ts';

/** Ratios that differ by less are not worth a look: nodes have different pods. */
const UNEVEN = 0.15;
/** Memory of an agent that has run for less is still filling. */
const YOUNG_MS = 600_000;

/** What shows only beside others: an agent whose memory answers much less than that of the rest of its tier. */
export function unevenHitRatios(found: readonly Examined[]): Finding[] {
  return found.flatMap((one) => {
    const { l1, tier, region } = one.value;
    if (!hasEnough(one) || l1 === undefined) return [];
    const others = found.filter(
      (other) =>
        other !== one && hasEnough(other) && other.value.tier === tier && other.value.region === region,
    );
    const usual = median(others.map(({ value }) => value.l1?.hitRatio ?? 0));
    if (usual === undefined || usual - l1.hitRatio < UNEVEN) return [];
    const evidence = `${percent(l1.hitRatio)} of its lookups are answered from memory; ${percent(usual)} is usual for the ${others.length} other agents of its tier and region`;
    return [
      { complaint: 'slow lookups', level: 'warning', agent: one.name, evidence, ...whyLess(one, others) },
    ];
  });
}

function hasEnough({ value: { l1 } }: Examined): boolean {
  return l1 !== undefined && l1.hits + l1.misses >= ENOUGH_LOOKUPS;
}

function whyLess(
  { value: { uptimeMs, l1, events } }: Examined,
  others: readonly Examined[],
): Pick<Finding, 'cause' | 'remedy'> {
  const size = median(others.map(({ value }) => value.l1?.maxEntries ?? 0)) ?? 0;
  if ((l1?.maxEntries ?? 0) < size * 0.9)
    return {
      cause: `it has room for ${l1?.maxEntries} entries, others for ${size}: its memory is short, or it runs by another configuration`,
      remedy:
        'compare its memory limit and its configuration (config_hash in "edgecache stats --json") with the others’',
    };
  if (uptimeMs < YOUNG_MS)
    return {
      cause: `it started ${duration(uptimeMs)} ago, and its memory is still filling`,
      remedy: 'wait; l1.preload of the tier fills it with the region’s hot keys at the start',
    };
  if ((events?.partitionResets ?? 0) > 0)
    return {
      cause: `it lost events and dropped ${events?.partitionResets} partitions’ entries`,
      remedy: 'see what is said of resets and leases on this agent',
    };
  return {
    cause: 'its pods ask for other keys, or for more different ones, than those of other nodes',
    remedy: 'see its hottest keys and what another size would do: edgecache top --address of this agent',
  };
}

function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
