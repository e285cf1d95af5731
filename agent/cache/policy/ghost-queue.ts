/** The hashes of the last keys that left, oldest out first: 4 bytes and a map entry each. */
export class GhostQueue {
  /** Twice the length that is asked for: keys taken out leave holes, which must not push out those that remain. */
  #ring = new Int32Array(2);
  #head = 0;
  #tail = 0;
  /** Where in the ring, counted without wrapping, each hash stands. */
  readonly #places = new Map<number, number>();

  get size(): number {
    return this.#places.size;
  }

  /** Remembers a key as the newest of at most `limit`. */
  add(hash: number, limit: number): void {
    if (limit < 1) return;
    if (this.#ring.length < 2 * limit) this.#grow(2 * limit);
    this.#places.set(hash, this.#head);
    this.#ring[this.#head % this.#ring.length] = hash;
    this.#head += 1;
    while (this.#places.size > limit) this.#dropOldest();
    if (this.#head - this.#tail === this.#ring.length) this.#closeHoles();
  }

  /** Forgets a key; says whether it was there. */
  take(hash: number): boolean {
    return this.#places.delete(hash);
  }

  clear(): void {
    this.#places.clear();
    this.#head = 0;
    this.#tail = 0;
  }

  #dropOldest(): void {
    const hash = this.#ring[this.#tail % this.#ring.length] ?? 0;
    // A hash that was added again, or taken out, stands elsewhere or nowhere.
    if (this.#places.get(hash) === this.#tail) this.#places.delete(hash);
    this.#tail += 1;
  }

  /** At least half are holes by now, so this is paid for by as many calls of `add`. */
  #closeHoles(): void {
    let end = this.#tail;
    for (let place = this.#tail; place < this.#head; place++) {
      const hash = this.#ring[place % this.#ring.length] ?? 0;
      if (this.#places.get(hash) !== place) continue;
      this.#ring[end % this.#ring.length] = hash;
      this.#places.set(hash, end);
      end += 1;
    }
    this.#head = end;
  }

  #grow(length: number): void {
    const longer = new Int32Array(Math.max(length, 2 * this.#ring.length));
    for (let place = this.#tail; place < this.#head; place++) {
      longer[place % longer.length] = this.#ring[place % this.#ring.length] ?? 0;
    }
    this.#ring = longer;
  }
}
