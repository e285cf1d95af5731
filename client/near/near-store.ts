import { LRUCache } from 'lru-cache';
import { ownCopy } from '../../api/own-copy.ts';
import { compareVersions } from '../../api/version.ts';
import type { Codec } from '../codec.ts';

export interface NearLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Longest that an entry is held. What is left of its life in the agent's cache bounds it as well. */
  readonly ttlMs: number;
  /** How long past its end an entry is kept, for those who can do with it. */
  readonly staleMs: number;
}

/** What an agent answered with. */
export interface NearValue {
  /** Undefined: known to be absent. */
  readonly bytes: Buffer | undefined;
  readonly version: string;
  readonly tags: readonly string[];
  readonly ttlMs: number;
}

export interface NearEntry extends NearValue {
  /** Monotonic milliseconds. */
  readonly expiresAt: number;
  /** When it ends in the cache, which may be later than it ends here. */
  readonly endsAt: number;
  /** Decoded once and frozen, for the codec that did it. */
  codec: Codec<unknown> | undefined;
  value: unknown;
}

/** Taken before a lookup is sent; tells whether what it brings may be held. */
export interface Ticket {
  readonly mark: number;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** What changed; with neither keys nor tags: the whole namespace. Without a version: whatever is held goes. */
export interface NearInvalidation {
  readonly namespace: string;
  readonly keys: readonly string[];
  readonly tags: readonly string[];
  readonly version: string;
}

/** What is known to have happened to a key. */
interface Change {
  /** When it was last heard of a version. */
  mark: number;
  /** The newest version heard of, whichever came last. */
  version: string;
  /** When it last changed to something whose version is not known. */
  unversionedAt: number;
}

interface Space {
  readonly limits: NearLimits;
  readonly entries: LRUCache<string, NearEntry>;
  readonly keysByTag: Map<string, Set<string>>;
  /** What happened to each key, for lookups under way. */
  readonly changed: Map<string, Change>;
  /** Last change that could concern any key. */
  widelyChangedAt: number;
}

export interface NearCounters {
  hits: number;
  misses: number;
  admitted: number;
  /** Answers that something had changed under way. */
  overtaken: number;
  invalidated: number;
  evicted: number;
  resets: number;
}

/** Beside key, value and tags: the entry's object, its slots in map and list, the Buffer's own head. */
const OVERHEAD_BYTES = 300;
const NEVER = -1;
/** Changes remembered one by one; beyond, all keys count as changed. */
const MAX_REMEMBERED = 4_096;

/**
 * What the application's process holds of some namespaces, bounded in entries and bytes. Knows nothing of time's leases or
 * connections: it sees to it that nothing that was invalidated is found, and that nothing enters that was asked before.
 */
export class NearStore {
  readonly counters: NearCounters = {
    hits: 0,
    misses: 0,
    admitted: 0,
    overtaken: 0,
    invalidated: 0,
    evicted: 0,
    resets: 0,
  };
  readonly #spaces = new Map<string, Space>();
  #mark = 0;

  constructor(namespaces: Readonly<Record<string, NearLimits>>) {
    for (const [name, limits] of Object.entries(namespaces)) this.#spaces.set(name, this.#newSpace(limits));
  }

  get namespaces(): string[] {
    return [...this.#spaces.keys()];
  }

  get size(): { readonly entries: number; readonly bytes: number } {
    let entries = 0;
    let bytes = 0;
    for (const space of this.#spaces.values()) {
      entries += space.entries.size;
      bytes += space.entries.calculatedSize;
    }
    return { entries, bytes };
  }

  holds(namespace: string): boolean {
    return this.#spaces.has(namespace);
  }

  ticket(at: number): Ticket {
    return { mark: this.#mark, at };
  }

  get(namespace: string, key: string, now: number): NearEntry | undefined {
    const space = this.#spaces.get(namespace);
    const entry = space?.entries.get(key);
    if (entry === undefined) return undefined;
    if (now < entry.expiresAt) return entry;
    if (now >= entry.expiresAt + (space?.limits.staleMs ?? 0)) space?.entries.delete(key);
    return undefined;
  }

  /** An entry whatever its end, as long as it is kept. */
  getExpired(namespace: string, key: string, now: number): NearEntry | undefined {
    const space = this.#spaces.get(namespace);
    const entry = space?.entries.peek(key);
    if (entry === undefined || now >= entry.expiresAt + (space?.limits.staleMs ?? 0)) return undefined;
    return entry;
  }

  /** Holds an answer, unless something changed since it was asked for, or something newer is held. */
  admit(namespace: string, key: string, value: NearValue, ticket: Ticket): boolean {
    const space = this.#spaces.get(namespace);
    if (space === undefined || value.ttlMs <= 0 || value.version === '') return false;
    if (space.widelyChangedAt > ticket.mark || this.#isOvertaken(space, key, value, ticket)) {
      this.counters.overtaken += 1;
      return false;
    }
    const held = space.entries.peek(key);
    if (held !== undefined && compareVersions(held.version, value.version) > 0) return false;
    // A view would keep the whole message of the batch alive behind a few bytes of it.
    const bytes = value.bytes === undefined ? undefined : ownCopy(value.bytes);
    const entry: NearEntry = {
      ...value,
      bytes,
      // The agent said what is left some time after the ticket was taken.
      expiresAt: ticket.at + Math.min(value.ttlMs, space.limits.ttlMs),
      endsAt: ticket.at + value.ttlMs,
      codec: undefined,
      value: undefined,
    };
    const size = weigh(key, entry);
    if (size > space.limits.maxBytes) return false;
    space.entries.set(key, entry, { size });
    for (const tag of entry.tags) addTo(space.keysByTag, tag, key);
    this.counters.admitted += 1;
    return true;
  }

  invalidate({ namespace, keys, tags, version }: NearInvalidation): void {
    const space = this.#spaces.get(namespace);
    if (space === undefined) return;
    this.#mark += 1;
    for (const key of keys) this.#invalidateKey(space, key, version);
    // A tag's event has a version in each partition; which one a key is in is not known here, so all of them go.
    for (const tag of tags) {
      for (const key of [...(space.keysByTag.get(tag) ?? [])]) this.#drop(space, key);
    }
    if (keys.length === 0 && tags.length === 0) this.#empty(space);
    // What lookups under way will bring may carry the tag.
    if (tags.length > 0) space.widelyChangedAt = this.#mark;
  }

  /** Forgets everything; what was asked before is not held either. */
  clear(): void {
    this.#mark += 1;
    this.counters.resets += 1;
    for (const space of this.#spaces.values()) this.#empty(space);
  }

  #isOvertaken(space: Space, key: string, value: NearValue, ticket: Ticket): boolean {
    const change = space.changed.get(key);
    if (change === undefined) return false;
    if (change.unversionedAt > ticket.mark) return true;
    return change.mark > ticket.mark && compareVersions(value.version, change.version) < 0;
  }

  #invalidateKey(space: Space, key: string, version: string): void {
    this.#remember(space, key, version);
    const held = space.entries.peek(key);
    if (held === undefined) return;
    if (version === '' || compareVersions(held.version, version) < 0) this.#drop(space, key);
  }

  #remember(space: Space, key: string, version: string): void {
    const known = space.changed.get(key);
    if (known === undefined) {
      if (space.changed.size >= MAX_REMEMBERED) {
        space.changed.clear();
        space.widelyChangedAt = this.#mark;
      }
      const unversionedAt = version === '' ? this.#mark : NEVER;
      space.changed.set(key, { mark: this.#mark, version, unversionedAt });
    } else if (version === '') known.unversionedAt = this.#mark;
    else {
      known.mark = this.#mark;
      // An older version may be heard of after a newer one: an answer that was overtaken says its own.
      if (known.version === '' || compareVersions(known.version, version) < 0) known.version = version;
    }
  }

  #drop(space: Space, key: string): void {
    if (space.entries.delete(key)) this.counters.invalidated += 1;
  }

  #empty(space: Space): void {
    space.widelyChangedAt = this.#mark;
    space.changed.clear();
    this.counters.invalidated += space.entries.size;
    space.entries.clear();
    space.keysByTag.clear();
  }

  #newSpace(limits: NearLimits): Space {
    const space: Space = {
      limits,
      keysByTag: new Map(),
      changed: new Map(),
      widelyChangedAt: this.#mark,
      entries: new LRUCache<string, NearEntry>({
        max: limits.maxEntries,
        maxSize: limits.maxBytes,
        dispose: (entry, key, reason) => {
          if (reason === 'evict') this.counters.evicted += 1;
          for (const tag of entry.tags) removeFrom(space.keysByTag, tag, key);
        },
      }),
    };
    return space;
  }
}

/** The decoded value is taken for as large as its bytes again. */
function weigh(key: string, { bytes, tags }: NearValue): number {
  let weight = OVERHEAD_BYTES + key.length * 2 + (bytes?.length ?? 0) * 2;
  for (const tag of tags) weight += tag.length * 2;
  return weight;
}

function addTo(index: Map<string, Set<string>>, tag: string, key: string): void {
  const keys = index.get(tag);
  if (keys === undefined) index.set(tag, new Set([key]));
  else keys.add(key);
}

function removeFrom(index: Map<string, Set<string>>, tag: string, key: string): void {
  const keys = index.get(tag);
  keys?.delete(key);
  if (keys?.size === 0) index.delete(tag);
}
