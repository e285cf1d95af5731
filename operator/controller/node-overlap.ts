import { fieldAt, type KubeObject, keyOf } from '../kube/object.ts';
import { canonicalJson } from '../manifests/canonical.ts';
import { nodeSelectorOf } from '../manifests/daemon-set.ts';

/** Nodes that a tier shares with others, by selector; taints are not looked at. */
export interface Overlap {
  readonly nodes: number;
  /** `namespace/name` of the other tiers, sorted. */
  readonly others: readonly string[];
}

const NONE: Overlap = { nodes: 0, others: [] };

interface Listing {
  values(): IterableIterator<KubeObject>;
}

/**
 * Which tiers share nodes. Computed for all tiers at once, and only after something changed:
 * tiers with the same selector are one group, so 200 tiers on 1,000 nodes take milliseconds.
 */
export class NodeOverlap {
  readonly #nodes: Listing;
  readonly #tiers: Listing;
  #known: ReadonlyMap<string, Overlap> = new Map();

  constructor(nodes: Listing, tiers: Listing) {
    this.#nodes = nodes;
    this.#tiers = tiers;
  }

  of(tierKey: string): Overlap {
    return this.#known.get(tierKey) ?? NONE;
  }

  /** Looks anew, and names the tiers for which something is different now. */
  refresh(): string[] {
    const before = this.#known;
    this.#known = computeOverlaps(this.#nodes.values(), this.#tiers.values());
    const keys = new Set([...before.keys(), ...this.#known.keys()]);
    return [...keys].filter(
      (key) => canonicalJson(before.get(key) ?? NONE) !== canonicalJson(this.#known.get(key) ?? NONE),
    );
  }
}

interface Group {
  readonly selector: readonly (readonly [string, string])[];
  readonly tiers: string[];
}

export function computeOverlaps(
  nodes: Iterable<KubeObject>,
  tiers: Iterable<KubeObject>,
): ReadonlyMap<string, Overlap> {
  const groups = groupBySelector(tiers);
  /** Per group: how many nodes it shares, and with which groups. */
  const shared = new Map<Group, { nodes: number; with: Set<Group> }>();
  for (const node of nodes) {
    const here = groups.filter((group) => matches(group, node.metadata.labels ?? {}));
    for (const group of here) {
      if (here.length === 1 && group.tiers.length === 1) continue;
      const entry = shared.get(group) ?? { nodes: 0, with: new Set<Group>() };
      entry.nodes += 1;
      for (const other of here) entry.with.add(other);
      shared.set(group, entry);
    }
  }
  const overlaps = new Map<string, Overlap>();
  for (const [group, entry] of shared) {
    const all = [...entry.with].flatMap((other) => other.tiers).sort();
    for (const key of group.tiers) {
      overlaps.set(key, { nodes: entry.nodes, others: all.filter((other) => other !== key) });
    }
  }
  return overlaps;
}

function groupBySelector(tiers: Iterable<KubeObject>): Group[] {
  const groups = new Map<string, Group>();
  for (const tier of tiers) {
    const selector = selectorOf(tier);
    if (selector === undefined || tier.metadata.deletionTimestamp !== undefined) continue;
    const id = canonicalJson(selector);
    const group = groups.get(id) ?? { selector: Object.entries(selector), tiers: [] };
    group.tiers.push(keyOf(tier));
    groups.set(id, group);
  }
  return [...groups.values()];
}

function selectorOf(tier: KubeObject): Record<string, string> | undefined {
  const region = fieldAt(tier, 'spec', 'region');
  const nodeSelector = fieldAt(tier, 'spec', 'nodeSelector') as Record<string, string> | undefined;
  return typeof region === 'string' ? nodeSelectorOf({ region, nodeSelector }) : undefined;
}

function matches({ selector }: Group, labels: Readonly<Record<string, string>>): boolean {
  return selector.every(([name, value]) => labels[name] === value);
}
