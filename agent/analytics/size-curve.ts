import { Capacity } from '../cache/policy/eviction-policy.ts';
import { S3FifoPolicy } from '../cache/policy/s3-fifo-policy.ts';
import { SlotIndex } from '../cache/policy/slot-index.ts';
import { Links, NONE } from '../cache/policy/slot-list.ts';

export interface CurvePoint {
  /** Of the present size. */
  readonly factor: number;
  /** 0 to 1. */
  readonly hitRatio: number;
}

const FACTORS = [0.5, 1, 2, 4] as const;
/** Keys of the ghost that stands for the present size: larger ones would tell more exactly, and cost more. */
const GHOST_ENTRIES = 256;
/** Sampled requests after which the past counts for half. */
const HALF_LIFE = 20_000;
/** Below so many sampled requests there is nothing to say. */
const ENOUGH = 500;
/** By which the room must have changed for the ghosts to be others. */
const ROOM_CHANGE = 1.2;
const HASHES = 2 ** 32;

/**
 * What the hit ratio would be if memory were smaller or larger: ghosts, which hold keys only, of a sample of the keys, scaled
 * down as the sample is. Keys are sampled by their hash, and what the sample has too few or too many requests of counts as hits, as
 * in SHARDS-adj (Waldspurger, Park, Garthwaite, Ahmad: Efficient MRC construction with SHARDS, FAST 2015): it is the hottest keys
 * that a sample misses or has by chance. All ghosts evict by S3-FIFO, whatever memory does.
 */
export class SizeCurve {
  #room = 0;
  #sample = 1;
  #threshold = 0;
  #ghosts: Ghost[] = [];
  readonly #hits = new Float64Array(FACTORS.length);
  #sampled = 0;
  #all = 0;

  /** @param room entries that memory may hold */
  constructor(room: number) {
    this.#build(Math.max(1, room));
  }

  /** Takes another size; begins anew where it is quite another. */
  resize(room: number): void {
    if (room < this.#room * ROOM_CHANGE && this.#room < room * ROOM_CHANGE) return;
    this.#build(Math.max(1, room));
  }

  /**
   * @param hash of namespace and key
   * @param isLost whether it had ended, for a reason that no size would have mended
   */
  request(hash: number, isLost: boolean): void {
    this.#all += 1;
    if (hash >= this.#threshold) return;
    this.#sampled += 1;
    for (let i = 0; i < this.#ghosts.length; i++) {
      const isHit = this.#ghosts[i]?.request(hash) === true;
      if (isHit && !isLost) this.#hits[i] = (this.#hits[i] ?? 0) + 1;
    }
    if (this.#sampled < HALF_LIFE) return;
    this.#sampled /= 2;
    this.#all /= 2;
    for (let i = 0; i < this.#hits.length; i++) this.#hits[i] = (this.#hits[i] ?? 0) / 2;
  }

  /** Empty until enough has been seen. */
  points(): CurvePoint[] {
    const expected = this.#all * this.#sample;
    if (this.#sampled < ENOUGH || expected === 0) return [];
    const missing = expected - this.#sampled;
    return FACTORS.map((factor, i) => ({
      factor,
      hitRatio: Math.min(1, Math.max(0, ((this.#hits[i] ?? 0) + missing) / expected)),
    }));
  }

  #build(room: number): void {
    this.#room = room;
    this.#sample = Math.min(1, GHOST_ENTRIES / room);
    // Hashes are signed numbers of 32 bits.
    this.#threshold = Math.round(this.#sample * HASHES - HASHES / 2);
    this.#ghosts = FACTORS.map((factor) => new Ghost(Math.max(1, Math.round(room * this.#sample * factor))));
    this.#hits.fill(0);
    this.#sampled = 0;
    this.#all = 0;
  }
}

/** A cache of hashes. */
class Ghost {
  readonly #entries: number;
  readonly #slots: SlotIndex;
  readonly #policy: S3FifoPolicy;

  constructor(entries: number) {
    this.#entries = entries;
    this.#slots = new SlotIndex(entries);
    this.#policy = new S3FifoPolicy(new Links(), new Capacity(entries, Number.MAX_SAFE_INTEGER));
  }

  /** Whether it was there; it is now. */
  request(hash: number): boolean {
    const found = this.#slots.find(hash);
    if (found !== NONE) {
      this.#policy.use(found);
      return true;
    }
    this.#policy.announce(hash);
    if (this.#slots.size === this.#entries) {
      const victim = this.#policy.victim();
      this.#policy.evict(victim);
      this.#slots.delete(victim);
    }
    this.#policy.add(this.#slots.add(hash), hash, 1);
    return false;
  }
}
