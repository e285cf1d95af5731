/**
 * Names of everything that the cache keeps in Redis. `{cacheId:partition}` is the hash tag, so all of a partition
 * is in one slot. Namespaces have no ":" in them, so no namespace can be mistaken for the beginning of another.
 */
export class PartitionKeys {
  readonly meta: string;
  readonly log: string;
  readonly channel: string;
  /** Agents that hold, or may hold, entries of the partition: agent id → `<renewals>:<max staleness ms>`. */
  readonly agents: string;
  /** What each namespace takes; the scripts know the name too. */
  readonly accounts: string;
  /** Hashed by Redis for the slot. */
  readonly hashTag: string;
  readonly #base: string;

  constructor(cacheId: string, partition: number) {
    this.hashTag = `${cacheId}:${partition}`;
    this.#base = `ec:{${this.hashTag}}`;
    this.meta = `${this.#base}:meta`;
    this.log = `${this.#base}:log`;
    this.agents = `${this.#base}:agents`;
    this.accounts = `${this.#base}:bytes`;
    this.channel = `${this.#base}:events`;
  }

  entry(namespace: string, key: string): string {
    return `${this.#base}:e:${namespace}:${key}`;
  }

  lease(namespace: string, key: string): string {
    return `${this.#base}:l:${namespace}:${key}`;
  }

  namespaceMarker(namespace: string): string {
    return `${this.#base}:n:${namespace}`;
  }

  tagMarkerPrefix(namespace: string): string {
    return `${this.#base}:t:${namespace}:`;
  }

  eventId(id: string): string {
    return `${this.#base}:i:${id}`;
  }

  /** What an agent tries its rights with. */
  probe(agentId: string): string {
    return `${this.#base}:probe:${agentId}`;
  }

  /** Where agents tell another agent that they have applied a change of this partition. */
  acknowledgements(agentId: string): string {
    return `${this.#base}:a:${agentId}`;
  }
}

/** Holds what all agents of a cache must agree on. */
export function cacheKey(cacheId: string): string {
  return `ec:{${cacheId}}:cache`;
}

/** What the agents of a region are asked for most, of late; by hour of the day with `:<hour>` behind it. */
export function hotKey(cacheId: string, region: string): string {
  return `ec:{${cacheId}}:hot:${region}`;
}

/** What each agent of a cache last said of itself, and when. */
export function fleetKeys(cacheId: string): { readonly summaries: string; readonly seen: string } {
  const summaries = `ec:{${cacheId}}:fleet`;
  return { summaries, seen: `${summaries}:seen` };
}
