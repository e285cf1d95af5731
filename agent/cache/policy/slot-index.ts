import { NONE } from './slot-list.ts';

/** Places in the table for each slot: runs stay short where most are free. */
const SPARSENESS = 2;

/**
 * Numbers a bounded set of hashes: a hash that comes in gets a slot, one that leaves frees it. An open table,
 * which costs a third of a Map where keys come and go all the time.
 */
export class SlotIndex {
  /** A slot plus one by place; 0 where there is none. */
  readonly #table: Int32Array;
  readonly #mask: number;
  readonly #hashes: Int32Array;
  readonly #free: Int32Array;
  #freed = 0;
  #used = 0;

  /** @param slots the most hashes at a time; more are the caller's mistake */
  constructor(slots: number) {
    const places = 2 ** Math.ceil(Math.log2(SPARSENESS * slots + 1));
    this.#table = new Int32Array(places);
    this.#mask = places - 1;
    this.#hashes = new Int32Array(slots);
    this.#free = new Int32Array(slots);
  }

  get size(): number {
    return this.#used - this.#freed;
  }

  /** The hash's slot, or NONE. */
  find(hash: number): number {
    const table = this.#table;
    for (let place = hash & this.#mask; ; place = (place + 1) & this.#mask) {
      const slot = (table[place] ?? 0) - 1;
      if (slot === NONE || this.#hashes[slot] === hash) return slot;
    }
  }

  /** A slot for a hash that has none. */
  add(hash: number): number {
    const table = this.#table;
    let slot = this.#used;
    if (this.#freed > 0) slot = this.#free[--this.#freed] ?? 0;
    else this.#used += 1;
    let place = hash & this.#mask;
    while (table[place] !== 0) place = (place + 1) & this.#mask;
    table[place] = slot + 1;
    this.#hashes[slot] = hash;
    return slot;
  }

  delete(slot: number): void {
    const table = this.#table;
    let gap = this.#home(slot);
    while (table[gap] !== slot + 1) gap = (gap + 1) & this.#mask;
    this.#free[this.#freed++] = slot;
    // What was pushed past the gap moves up, so that no look-up ends at it too early.
    for (let place = (gap + 1) & this.#mask; table[place] !== 0; place = (place + 1) & this.#mask) {
      const moved = table[place] ?? 0;
      const fromHome = (place - this.#home(moved - 1)) & this.#mask;
      if (fromHome < ((place - gap) & this.#mask)) continue;
      table[gap] = moved;
      gap = place;
    }
    table[gap] = 0;
  }

  #home(slot: number): number {
    return (this.#hashes[slot] ?? 0) & this.#mask;
  }
}
