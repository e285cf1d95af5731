const WAYS = 4;
const EMPTY = 0;

/**
 * The hashes of the last keys that left, oldest out first. As the paper of S3-FIFO has it: a table that tells a
 * key's age by a number that grows with each addition, so that nobody has to take out what has become too old.
 */
export class GhostQueue {
  /** Buckets of four; the oldest of a bucket gives way, which twice the room makes rare. */
  #hashes = new Int32Array(2 * WAYS);
  /** The number of the addition, by place. */
  #numbers = new Int32Array(2 * WAYS);
  #added = EMPTY;
  #limit = 0;

  /** Remembers a key as the newest of at most `limit`. */
  add(hash: number, limit: number): void {
    if (limit < 1) return;
    if (this.#hashes.length < 2 * limit) this.#grow(2 * limit);
    this.#limit = limit;
    this.#added = (this.#added + 1) | 0;
    if (this.#added === EMPTY) this.#added = 1;
    this.#put(hash, this.#added);
  }

  /** Forgets a key; says whether it was there. */
  take(hash: number): boolean {
    const start = this.#bucketOf(hash);
    for (let place = start; place < start + WAYS; place++) {
      if (this.#hashes[place] !== hash || this.#numbers[place] === EMPTY) continue;
      const isRecent = this.#ageOf(place) < this.#limit;
      this.#numbers[place] = EMPTY;
      return isRecent;
    }
    return false;
  }

  clear(): void {
    this.#numbers.fill(EMPTY);
    this.#added = EMPTY;
  }

  #put(hash: number, number: number): void {
    const start = this.#bucketOf(hash);
    let chosen = start;
    let oldest = -1;
    for (let place = start; place < start + WAYS; place++) {
      if (this.#hashes[place] === hash) {
        chosen = place;
        break;
      }
      const age = this.#numbers[place] === EMPTY ? Infinity : this.#ageOf(place);
      if (age > oldest) {
        oldest = age;
        chosen = place;
      }
    }
    this.#hashes[chosen] = hash;
    this.#numbers[chosen] = number;
  }

  /** Additions since; right even after the counter has wrapped. */
  #ageOf(place: number): number {
    return (this.#added - (this.#numbers[place] ?? 0)) >>> 0;
  }

  #bucketOf(hash: number): number {
    return (hash & (this.#hashes.length / WAYS - 1)) * WAYS;
  }

  #grow(atLeast: number): void {
    const [hashes, numbers] = [this.#hashes, this.#numbers];
    const length = 2 ** Math.ceil(Math.log2(atLeast));
    this.#hashes = new Int32Array(length);
    this.#numbers = new Int32Array(length);
    for (const [place, number] of numbers.entries()) {
      if (number !== EMPTY) this.#put(hashes[place] ?? 0, number);
    }
  }
}
