export interface HotKey {
  readonly namespace: string;
  readonly key: string;
  /** Lookups of late, on this agent; an estimate from below. */
  readonly perSecond: number;
}

export interface HotKeysOptions {
  /** Keys that are told apart at least; twice as many are held at most. */
  readonly capacity: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** From 0 up to, and without, 1. */
  readonly random: () => number;
}

interface Count {
  readonly namespace: string;
  readonly key: string;
  uses: number;
  /** By how much `uses` may be too high. */
  error: number;
}

/** Lookups counted in a second, about: all of them where there are few, one of many where there are many. */
const COUNTED_PER_SECOND = 1_000;
/** Counted lookups after which is looked whether they are too many. */
const LOOK_EVERY = 2_000;
const MAX_ONE_IN = 1_024;
/** What was a minute ago counts a little more than a third. */
const DECAY_MS = 10_000;
const KEEP = 0.85;

/**
 * The keys that are looked up most, of late: Space-Saving (Metwally, Agrawal, El Abbadi: Efficient computation of frequent and
 * top-k elements in data streams, ICDT 2005) over a sample of the lookups where they are many, in batches: a key that comes in when there is no
 * room may have been there before as often as the most used of those that had to go.
 */
export class HotKeys {
  readonly #options: HotKeysOptions;
  readonly #counts = new Map<string, Count>();
  /** Most uses of a key that was let go. */
  #floor = 0;
  #untilNext = 1;
  /** Mean of lookups for each that is counted, and that it counts for. */
  #oneIn = 1;
  #counted = 0;
  #adjustedAt: number;
  /** What `uses` are counted over, in milliseconds, the past discounted as they are. */
  #spanMs = 0;
  #decayedAt: number;

  constructor(options: HotKeysOptions) {
    this.#options = options;
    this.#decayedAt = options.now();
    this.#adjustedAt = this.#decayedAt;
  }

  /** Keys told apart now. */
  get size(): number {
    return this.#counts.size;
  }

  /** To be called for every lookup; almost always it only counts down. */
  note(namespace: string, key: string): void {
    this.#untilNext -= 1;
    if (this.#untilNext > 0) return;
    this.#untilNext = this.#gap();
    this.#count(namespace, key);
  }

  /** The hottest first. */
  top(most: number): HotKey[] {
    const now = this.#options.now();
    this.#decay(now);
    const seconds = (this.#spanMs + now - this.#decayedAt) / 1000;
    if (seconds <= 0) return [];
    return [...this.#counts.values()]
      .filter(({ uses, error }) => uses > error)
      .sort((a, b) => b.uses - b.error - (a.uses - a.error))
      .slice(0, most)
      .map(({ namespace, key, uses, error }) => ({ namespace, key, perSecond: (uses - error) / seconds }));
  }

  /** Gaps of random length: callers that ask for the same keys in turn must not always have the same one counted. */
  #gap(): number {
    return 1 + Math.floor(this.#options.random() * (2 * this.#oneIn - 1));
  }

  #count(namespace: string, key: string): void {
    this.#counted += 1;
    if (this.#counted >= LOOK_EVERY) this.#adjust(this.#options.now());
    const name = `${namespace}\0${key}`;
    const found = this.#counts.get(name);
    if (found !== undefined) {
      found.uses += this.#oneIn;
      return;
    }
    this.#decay(this.#options.now());
    if (this.#counts.size >= 2 * this.#options.capacity) this.#prune();
    this.#counts.set(name, { namespace, key, uses: this.#floor + this.#oneIn, error: this.#floor });
  }

  #adjust(now: number): void {
    const lookups = this.#counted * this.#oneIn;
    const seconds = Math.max(0.001, (now - this.#adjustedAt) / 1000);
    this.#oneIn = Math.min(MAX_ONE_IN, Math.max(1, Math.ceil(lookups / seconds / COUNTED_PER_SECOND)));
    this.#counted = 0;
    this.#adjustedAt = now;
  }

  #prune(): void {
    const sorted = [...this.#counts].sort(([, a], [, b]) => b.uses - a.uses);
    const gone = sorted.slice(this.#options.capacity);
    this.#floor = Math.max(this.#floor, gone[0]?.[1].uses ?? 0);
    for (const [name] of gone) this.#counts.delete(name);
  }

  #decay(now: number): void {
    if (now - this.#decayedAt >= DECAY_MS) this.#adjust(now);
    for (; now - this.#decayedAt >= DECAY_MS; this.#decayedAt += DECAY_MS) {
      this.#spanMs = (this.#spanMs + DECAY_MS) * KEEP;
      this.#floor *= KEEP;
      for (const count of this.#counts.values()) {
        count.uses *= KEEP;
        count.error *= KEEP;
      }
    }
  }
}
