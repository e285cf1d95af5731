import type { Namespace } from '../../api/namespace.ts';
import { ownCopy } from '../../api/own-copy.ts';
import type { L1Policy } from '../../api/tier.ts';
import type { MissCause } from '../analytics/departures.ts';
import type { Entry } from '../l2/entry.ts';
import { compareVersions } from '../l2/version.ts';
import { type L1Entry, type Origin, type Scope, weigh } from './l1-entry.ts';
import { createStore } from './policy/create-store.ts';
import type { BoundedStore } from './store.ts';

export interface L1NamespaceStats {
  readonly entries: number;
  readonly bytes: number;
  readonly invalidations: number;
}

export interface L1Limits {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** What to keep when there is no room for all. Default: default. */
  readonly policy?: L1Policy;
}

/** Told what comes into memory and what leaves it; decides nothing. */
export interface L1Observer {
  kept(namespace: string, key: string, weight: number): void;
  left(namespace: string, key: string, cause: MissCause): void;
}

const UNOBSERVED: L1Observer = { kept: () => undefined, left: () => undefined };

interface NamespaceState {
  rules: Namespace;
  store: BoundedStore<L1Entry>;
  readonly scopes: Scope[];
  /** Keys in memory by tag. */
  readonly keysByTag: Map<string, Set<string>>;
  invalidations: number;
}

/** The agent's memory: bounded in entries and bytes, in all and per namespace. */
export class L1 {
  readonly #namespaces = new Map<string, NamespaceState>();
  readonly #partitions: number;
  readonly #observer: L1Observer;
  #limits: L1Limits;
  #evictions = 0;
  #invalidations = 0;
  #entries = 0;
  #bytes = 0;

  constructor(
    namespaces: readonly Namespace[],
    partitions: number,
    limits: L1Limits,
    observer: L1Observer = UNOBSERVED,
  ) {
    this.#partitions = partitions;
    this.#observer = observer;
    this.#limits = limits;
    this.configure(namespaces, limits, 0);
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get evictions(): number {
    return this.#evictions;
  }

  get invalidations(): number {
    return this.#invalidations;
  }

  get limits(): L1Limits {
    return this.#limits;
  }

  /**
   * Takes other namespaces, sizes and TTLs without losing what may stay. What is held already lives for the new TTL at most
   * from now on.
   */
  configure(namespaces: readonly Namespace[], limits: L1Limits, now: number): void {
    const isOtherPolicy = policyOf(limits) !== policyOf(this.#limits);
    this.#limits = limits;
    const names = new Set(namespaces.map(({ name }) => name));
    for (const [name, state] of this.#namespaces) {
      if (names.has(name)) continue;
      this.#entries -= state.store.size;
      this.#bytes -= state.store.weight;
      this.#namespaces.delete(name);
    }
    for (const rules of namespaces) {
      const state = this.#namespaces.get(rules.name);
      if (state === undefined) this.#namespaces.set(rules.name, this.#newState(rules));
      else this.#change(state, rules, isOtherPolicy, now);
    }
    this.#shrink();
  }

  /** The entry if it has not been invalidated; it may be past its time, which is the reader's to judge. */
  get(namespace: string, key: string): L1Entry | undefined {
    const state = this.#namespaces.get(namespace);
    const entry = state?.store.get(key);
    if (entry === undefined) return undefined;
    if (entry.epoch === entry.scope.epoch) return entry;
    this.#remove(state, key, entry, entry.scope.cause);
    return undefined;
  }

  /**
   * Keeps an entry, unless a newer one is there. The caller has made sure that no invalidation was applied
   * since the entry was read.
   * @param ttlMs what is left of its life in L2; a full new life would double the staleness that was promised.
   */
  set(
    namespace: string,
    key: string,
    partition: number,
    entry: Entry,
    ttlMs: number,
    now: number,
    origin: Origin = 'redis',
  ): void {
    const state = this.#namespaces.get(namespace);
    const scope = state?.scopes[partition];
    if (state === undefined || scope === undefined) return;
    const old = state.store.peek(key);
    if (old !== undefined) {
      if (old.epoch === old.scope.epoch && compareVersions(old.version, entry.version) > 0) return;
      // Its place is kept: the policy's memory of a key outlives one version of it.
      this.#account(state, key, old);
    }
    const { version, absent, tags } = entry;
    // A slice would keep the whole reply of Redis alive behind a few bytes of it.
    const value = ownCopy(entry.value);
    const weight = weigh(key, value, tags);
    const kept: L1Entry = {
      version,
      value,
      absent,
      tags,
      partition,
      freshUntil: now + Math.min(ttlMs, lifeOf(state.rules, ttlMs)),
      endsAt: now + ttlMs,
      scope,
      epoch: scope.epoch,
      weight,
      keptAt: Math.floor(now),
      origin,
    };
    this.#entries += 1;
    this.#bytes += weight;
    this.#tag(state, key, tags);
    if (!state.store.set(key, kept, weight)) return;
    this.#observer.kept(namespace, key, weight);
    this.#shrink();
  }

  /** The entry if it has not been invalidated. No use of it. */
  peek(namespace: string, key: string): L1Entry | undefined {
    const entry = this.#namespaces.get(namespace)?.store.peek(key);
    return entry === undefined || entry.epoch !== entry.scope.epoch ? undefined : entry;
  }

  /** What a key's entry weighs; undefined where there is none. No use of it. */
  weightOf(namespace: string, key: string): number | undefined {
    return this.peek(namespace, key)?.weight;
  }

  /** Whether a key has an entry that is older than a version and has not been invalidated. No use of it. */
  holdsOlder(namespace: string, key: string, version: string): boolean {
    const entry = this.peek(namespace, key);
    return entry !== undefined && compareVersions(entry.version, version) < 0;
  }

  /** Drops a key's entry if it is older than a version. */
  invalidateKey(namespace: string, key: string, version: string): void {
    const state = this.#namespaces.get(namespace);
    const entry = state?.store.peek(key);
    if (state === undefined || entry === undefined || compareVersions(entry.version, version) >= 0) return;
    this.#invalidate(state, key, entry);
  }

  /** Drops the entries of a partition that carry a tag and are older than a version. */
  invalidateTag(namespace: string, tag: string, partition: number, version: string): void {
    const state = this.#namespaces.get(namespace);
    const keys = state?.keysByTag.get(tag);
    if (state === undefined || keys === undefined) return;
    for (const key of keys) {
      const entry = state.store.peek(key);
      if (entry?.partition === partition && compareVersions(entry.version, version) < 0) {
        this.#invalidate(state, key, entry);
      }
    }
  }

  /** Drops a namespace's entries of one partition, in constant time. */
  invalidateNamespace(namespace: string, partition: number): void {
    const state = this.#namespaces.get(namespace);
    const scope = state?.scopes[partition];
    if (state === undefined || scope === undefined) return;
    scope.epoch += 1;
    scope.cause = 'invalidated';
    state.invalidations += 1;
    this.#invalidations += 1;
  }

  /** Drops every entry of one partition, of all namespaces or of those that pass, in constant time. */
  resetPartition(partition: number, affects: (rules: Namespace) => boolean = () => true): void {
    for (const { rules, scopes } of this.#namespaces.values()) {
      const scope = scopes[partition];
      if (scope === undefined || !affects(rules)) continue;
      scope.epoch += 1;
      scope.cause = 'reset';
    }
  }

  /** Frees what is invalidated or past any use; called now and then so that memory does not wait to be touched. */
  sweep(now: number, keepPastEndMs: (rules: Namespace) => number): void {
    for (const state of this.#namespaces.values()) {
      const grace = keepPastEndMs(state.rules);
      for (const [key, entry] of state.store.entries()) {
        if (entry.epoch !== entry.scope.epoch) this.#remove(state, key, entry, entry.scope.cause);
        else if (entry.endsAt + grace <= now) this.#remove(state, key, entry, 'expired');
      }
    }
  }

  statsOf(namespace: string): L1NamespaceStats {
    const state = this.#namespaces.get(namespace);
    return {
      entries: state?.store.size ?? 0,
      bytes: state?.store.weight ?? 0,
      invalidations: state?.invalidations ?? 0,
    };
  }

  #newState(rules: Namespace): NamespaceState {
    return {
      rules,
      scopes: Array.from({ length: this.#partitions }, () => ({ epoch: 0, cause: 'invalidated' as const })),
      keysByTag: new Map(),
      invalidations: 0,
      store: this.#newStore(rules),
    };
  }

  #newStore(rules: Namespace): BoundedStore<L1Entry> {
    const { name } = rules;
    return createStore<L1Entry>(policyOf(this.#limits), {
      ...this.#boundsOf(rules),
      onEvict: (key, entry) => {
        this.#evictions += 1;
        const state = this.#namespaces.get(name);
        if (state === undefined) return;
        this.#account(state, key, entry);
        this.#observer.left(name, key, this.#whyEvicted(state, entry));
      },
    });
  }

  #boundsOf(rules: Namespace): { readonly maxEntries: number; readonly maxWeight: number } {
    const { maxEntries, maxBytes } = this.#limits;
    return { maxEntries, maxWeight: Math.min(rules.memoryLimitBytes, maxBytes) };
  }

  #change(state: NamespaceState, rules: Namespace, isOtherPolicy: boolean, now: number): void {
    const latest = now + rules.l1TtlSeconds * 1000;
    if (rules.l1TtlSeconds < state.rules.l1TtlSeconds) {
      for (const [, entry] of state.store.entries()) entry.freshUntil = Math.min(entry.freshUntil, latest);
    }
    state.rules = rules;
    const { maxEntries, maxWeight } = this.#boundsOf(rules);
    if (!isOtherPolicy) {
      state.store.resize(maxEntries, maxWeight);
      return;
    }
    const old = state.store;
    state.store = this.#newStore(rules);
    // The one most worth keeping last, so that what does not fit is what was worth least.
    for (const [key, entry] of [...old.entries()].reverse()) state.store.set(key, entry, entry.weight);
  }

  /** While there is too much in all, the namespace that holds the most gives; so a flood evicts itself. */
  #shrink(): void {
    while (this.#entries > this.#limits.maxEntries) {
      if (!this.#largest((state) => state.store.size)?.store.evictOne()) return;
    }
    while (this.#bytes > this.#limits.maxBytes) {
      if (!this.#largest((state) => state.store.weight)?.store.evictOne()) return;
    }
  }

  #largest(measure: (state: NamespaceState) => number): NamespaceState | undefined {
    let found: NamespaceState | undefined;
    let most = 0;
    for (const state of this.#namespaces.values()) {
      const size = measure(state);
      if (size > most) {
        most = size;
        found = state;
      }
    }
    return found;
  }

  #invalidate(state: NamespaceState, key: string, entry: L1Entry): void {
    state.invalidations += 1;
    this.#invalidations += 1;
    this.#remove(state, key, entry, 'invalidated');
  }

  #whyEvicted({ rules }: NamespaceState, { epoch, scope, weight }: L1Entry): MissCause {
    if (epoch !== scope.epoch) return scope.cause;
    return weight > this.#boundsOf(rules).maxWeight ? 'too_large' : 'evicted';
  }

  #remove(state: NamespaceState | undefined, key: string, entry: L1Entry, cause: MissCause): void {
    if (state === undefined) return;
    state.store.delete(key);
    this.#account(state, key, entry);
    this.#observer.left(state.rules.name, key, cause);
  }

  #account(state: NamespaceState, key: string, entry: L1Entry): void {
    this.#entries -= 1;
    this.#bytes -= entry.weight;
    for (const tag of entry.tags) {
      const keys = state.keysByTag.get(tag);
      keys?.delete(key);
      if (keys?.size === 0) state.keysByTag.delete(tag);
    }
  }

  #tag(state: NamespaceState, key: string, tags: readonly string[]): void {
    for (const tag of tags) {
      const keys = state.keysByTag.get(tag);
      if (keys === undefined) state.keysByTag.set(tag, new Set([key]));
      else keys.add(key);
    }
  }
}

/** Where an entry was given a longer life in L2, its life here is longer by as much. */
function lifeOf({ l1TtlSeconds, ttlSeconds, adaptiveTtl }: Namespace, ttlMs: number): number {
  const usualMs = l1TtlSeconds * 1000;
  return adaptiveTtl === undefined ? usualMs : Math.max(usualMs, (ttlMs * l1TtlSeconds) / ttlSeconds);
}

function policyOf({ policy }: L1Limits): L1Policy {
  return policy ?? 'default';
}
