import { mix } from './key-hash.ts';

/** 32-bit words in a block of 64 bytes, which is one line of the processor's cache. */
const BLOCK_WORDS = 16;
const ROWS = 4;
const MIN_BLOCKS = 4;
/** Counted uses per entry after which all counters are halved. */
export const SAMPLE_FACTOR = 10;

/**
 * How often keys were used lately: a count-min sketch of four-bit counters, 16 of them an entry, halved after
 * ten uses per entry. Laid out as Caffeine does it: the four counters of a key lie in one block.
 */
export class FrequencySketch {
  #table = new Int32Array(0);
  #blockMask = 0;
  #sampleSize = 0;
  #counted = 0;

  /** Sizes it for so many entries; growing forgets what was counted. */
  ensure(entries: number): void {
    const sampleSize = SAMPLE_FACTOR * Math.max(1, entries);
    if (sampleSize === this.#sampleSize) return;
    this.#sampleSize = sampleSize;
    const blocks = Math.max(MIN_BLOCKS, powerOfTwo(Math.ceil(entries / 8)));
    if (this.#table.length >= blocks * BLOCK_WORDS) return;
    this.#table = new Int32Array(blocks * BLOCK_WORDS);
    this.#blockMask = blocks - 1;
    this.#counted = 0;
  }

  get isReady(): boolean {
    return this.#table.length > 0;
  }

  get bytes(): number {
    return this.#table.byteLength;
  }

  increment(hash: number): void {
    const table = this.#table;
    if (table.length === 0) return;
    let counters = mix(hash);
    const block = (hash & this.#blockMask) * BLOCK_WORDS;
    let added = false;
    for (let row = 0; row < ROWS; row++, counters >>>= 8) {
      const index = block + row * 4 + ((counters >>> 3) & 3);
      const shift = (counters & 7) << 2;
      const word = table[index] ?? 0;
      if (((word >>> shift) & 15) === 15) continue;
      table[index] = word + (1 << shift);
      added = true;
    }
    if (!added) return;
    this.#counted += 1;
    if (this.#counted >= this.#sampleSize) this.#halve();
  }

  /** At most 15. */
  frequency(hash: number): number {
    const table = this.#table;
    if (table.length === 0) return 0;
    let counters = mix(hash);
    const block = (hash & this.#blockMask) * BLOCK_WORDS;
    let least = 15;
    for (let row = 0; row < ROWS; row++, counters >>>= 8) {
      const word = table[block + row * 4 + ((counters >>> 3) & 3)] ?? 0;
      const count = (word >>> ((counters & 7) << 2)) & 15;
      if (count < least) least = count;
    }
    return least;
  }

  clear(): void {
    this.#table.fill(0);
    this.#counted = 0;
  }

  #halve(): void {
    const table = this.#table;
    let odd = 0;
    for (let i = 0; i < table.length; i++) {
      const word = table[i] ?? 0;
      odd += ones(word & 0x11111111);
      table[i] = (word >>> 1) & 0x77777777;
    }
    this.#counted = (this.#counted - (odd >>> 2)) >>> 1;
  }
}

/** The least power of two that is not less. */
function powerOfTwo(least: number): number {
  return least <= 1 ? 1 : 2 ** (32 - Math.clz32(least - 1));
}

/** How many of the eight lowest bits of the nibbles are set. */
function ones(lowBits: number): number {
  return Math.imul(lowBits, 0x11111111) >>> 28;
}
