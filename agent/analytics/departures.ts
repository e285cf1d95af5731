/** Why memory did not answer a lookup. */
export const MISS_CAUSES = [
  /** Never seen, or so long ago that it is not remembered. */
  'cold',
  'expired',
  'invalidated',
  'evicted',
  /** Larger than memory may hold in all. */
  'too_large',
  /** Events were lost, and its partition was dropped. */
  'reset',
  /** Memory holds it, but has no proof that it is fresh, or not as fresh as was asked. */
  'unproven',
  /** Memory holds it, and the caller wants it loaded anew before its end. */
  'refresh',
] as const;
export type MissCause = (typeof MISS_CAUSES)[number];

/** Places for each entry that memory may hold: what left is remembered for about three times its room. */
const PLACES_PER_ENTRY = 4;
const MAX_PLACES = 2 ** 20;

/**
 * Remembers of keys that left memory why they did, in a table of constant size: a place holds the key that left last, known by
 * 32 bits of its hash, so one miss in billions is told wrong and the older ones count as cold.
 */
export class Departures {
  #hashes = new Int32Array(0);
  #causes = new Uint8Array(0);
  #mask = 0;

  /** @param entries that memory may hold */
  constructor(entries: number) {
    this.resize(entries);
  }

  /** Forgets all where the table must be another. */
  resize(entries: number): void {
    const places = Math.min(MAX_PLACES, 2 ** Math.ceil(Math.log2(Math.max(1, entries) * PLACES_PER_ENTRY)));
    if (places === this.#hashes.length) return;
    this.#hashes = new Int32Array(places);
    this.#causes = new Uint8Array(places);
    this.#mask = places - 1;
  }

  note(hash: number, cause: MissCause): void {
    const place = hash & this.#mask;
    this.#hashes[place] = hash;
    this.#causes[place] = MISS_CAUSES.indexOf(cause);
  }

  causeOf(hash: number): MissCause {
    const place = hash & this.#mask;
    if (this.#hashes[place] !== hash) return 'cold';
    return MISS_CAUSES[this.#causes[place] ?? 0] ?? 'cold';
  }
}
