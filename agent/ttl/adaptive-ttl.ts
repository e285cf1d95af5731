import { LRUCache } from 'lru-cache';
import type { Namespace } from '../../api/namespace.ts';
import { hashKey, mix } from '../cache/policy/key-hash.ts';

export interface AdaptiveTtlOptions {
  /** Entries that memory may hold. */
  readonly entries: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface TtlChoices {
  longer: number;
  shorter: number;
  unchanged: number;
  /** Of all chosen, to tell their mean from. */
  sumMs: number;
}

/** Keys told apart for each entry of memory, and at most. */
const PLACES_PER_ENTRY = 4;
const MAX_PLACES = 2 ** 18;
/** Tags and namespaces whose last change is known. */
const MAX_SCOPES = 4_096;
/** How fast what is known of reads fades: in configured TTLs, as seconds are much for one namespace and little for another. */
const FADES_IN = 4;
/** Reads in that time, the older the less, that make a key worth keeping for longer. */
const OFTEN = 12;
/** Of the time that a key has stayed as it is: it may be expected to stay so for as long again, and half of that is on the safe side. */
const SHARE_OF_AGE = 0.5;
/** Of a new interval between two changes in the mean. */
const NEW_INTERVAL = 0.3;

/**
 * Chooses how long entries live in Redis, where a namespace lets it: longer where a key is read often and has not changed for
 * long, as the Alex protocol does (Cate: Alex, a global file system, 1992), shorter where it changes faster than its TTL.
 *
 * It knows what this agent has heard, in a table of constant size. What it does not know gets the configured TTL, and after
 * events were lost it knows nothing: an age that overlooked a change would be too high.
 */
export class AdaptiveTtl {
  readonly byNamespace = new Map<string, TtlChoices>();
  readonly #now: () => number;
  #entries: number;
  #hashes = new Int32Array(0);
  /** Milliseconds: of the last change, or since when there was none. */
  #changedAt = new Float64Array(0);
  /** Mean milliseconds between two changes; 0: not known. */
  #interval = new Float64Array(0);
  #readAt = new Float64Array(0);
  /** Reads, the past discounted. */
  #reads = new Float64Array(0);
  /** When a whole namespace, or all of a tag, changed last. */
  readonly #scopes = new LRUCache<string, { readonly at: number }>({ max: MAX_SCOPES });

  constructor({ entries, now }: AdaptiveTtlOptions) {
    this.#entries = entries;
    this.#now = now;
  }

  resize(entries: number): void {
    this.#entries = entries;
    if (this.#hashes.length > 0) this.#allocate();
  }

  /** Somebody has asked for a key. */
  noteRead({ name, ttlSeconds, adaptiveTtl }: Namespace, key: string): void {
    if (adaptiveTtl === undefined) return;
    const place = this.#placeOf(name, key);
    const now = this.#now();
    this.#reads[place] = this.#readsAt(place, now, ttlSeconds * 1000) + 1;
    this.#readAt[place] = now;
  }

  /** An event was applied. */
  noteChange(
    { name, adaptiveTtl }: Namespace,
    { keys, tags }: { readonly keys: readonly string[]; readonly tags: readonly string[] },
  ): void {
    if (adaptiveTtl === undefined) return;
    const now = this.#now();
    for (const key of keys) {
      const place = this.#placeOf(name, key);
      const interval = now - (this.#changedAt[place] ?? now);
      const mean = this.#interval[place] ?? 0;
      this.#interval[place] = mean === 0 ? interval : mean + NEW_INTERVAL * (interval - mean);
      this.#changedAt[place] = now;
    }
    for (const tag of tags) this.#scopes.set(`${name}\0${tag}`, { at: now });
    if (keys.length === 0 && tags.length === 0) this.#scopes.set(name, { at: now });
  }

  /** Events may have been missed. */
  forget(): void {
    this.#hashes.fill(0);
    this.#scopes.clear();
  }

  /** How long an entry that is written now shall live, in milliseconds. */
  choose(rules: Namespace, key: string, tags: readonly string[]): number {
    const { name, ttlSeconds, adaptiveTtl } = rules;
    const usualMs = ttlSeconds * 1000;
    if (adaptiveTtl === undefined) return usualMs;
    const chosen = Math.round(
      Math.min(
        adaptiveTtl.maxSeconds * 1000,
        Math.max(adaptiveTtl.minSeconds * 1000, this.#wish(name, key, tags, usualMs)),
      ),
    );
    const choices = this.#choices(name);
    choices.sumMs += chosen;
    if (chosen === usualMs) choices.unchanged += 1;
    else choices[chosen > usualMs ? 'longer' : 'shorter'] += 1;
    return chosen;
  }

  #wish(name: string, key: string, tags: readonly string[], usualMs: number): number {
    const now = this.#now();
    const place = this.#placeOf(name, key);
    const age = now - this.#lastChange(place, name, tags);
    const interval = this.#interval[place] ?? 0;
    const until = Math.max(age, interval);
    if (interval > 0 && until < usualMs) return until;
    const isHot = this.#readsAt(place, now, usualMs) >= OFTEN;
    return isHot ? Math.max(usualMs, until * SHARE_OF_AGE) : usualMs;
  }

  #lastChange(place: number, name: string, tags: readonly string[]): number {
    let last = Math.max(this.#changedAt[place] ?? 0, this.#scopes.get(name)?.at ?? 0);
    for (const tag of tags) last = Math.max(last, this.#scopes.get(`${name}\0${tag}`)?.at ?? 0);
    return last;
  }

  #readsAt(place: number, now: number, usualMs: number): number {
    const reads = this.#reads[place] ?? 0;
    return reads === 0 ? 0 : reads * Math.exp(((this.#readAt[place] ?? now) - now) / (FADES_IN * usualMs));
  }

  /** The key's place; taken from whoever had it, as of whom nothing is known any more. */
  #placeOf(name: string, key: string): number {
    if (this.#hashes.length === 0) this.#allocate();
    // 0 stands for nobody.
    const hash = mix(hashKey(key) ^ mix(hashKey(name))) || 1;
    const place = hash & (this.#hashes.length - 1);
    if (this.#hashes[place] !== hash) {
      this.#hashes[place] = hash;
      this.#changedAt[place] = this.#now();
      this.#interval[place] = 0;
      this.#reads[place] = 0;
    }
    return place;
  }

  #allocate(): void {
    const places = Math.min(MAX_PLACES, 2 ** Math.ceil(Math.log2(this.#entries * PLACES_PER_ENTRY)));
    if (places === this.#hashes.length) return;
    this.#hashes = new Int32Array(places);
    this.#changedAt = new Float64Array(places);
    this.#interval = new Float64Array(places);
    this.#readAt = new Float64Array(places);
    this.#reads = new Float64Array(places);
  }

  #choices(name: string): TtlChoices {
    let choices = this.byNamespace.get(name);
    if (choices === undefined) {
      choices = { longer: 0, shorter: 0, unchanged: 0, sumMs: 0 };
      this.byNamespace.set(name, choices);
    }
    return choices;
  }
}
