import { Capacity } from './eviction-policy.ts';
import { FrequencySketch } from './frequency-sketch.ts';
import { LruPolicy } from './lru-policy.ts';
import { S3FifoPolicy } from './s3-fifo-policy.ts';
import { SlotIndex } from './slot-index.ts';
import { Links, NONE } from './slot-list.ts';
import { TinyLfuPolicy } from './tiny-lfu-policy.ts';

export type Contestant = (typeof CONTESTANTS)[number];

const CONTESTANTS = ['lru', 's3fifo', 'tinylfu'] as const;
/** What stands for each of them in the bits of those that hold a key. */
const LRU = 1;
const S3_FIFO = 2;
const TINY_LFU = 4;

/** How much the past counts, in ghost sizes of requests: each judgement forgets a twentieth of it. */
const MEMORY = 20;
/** Requests between judgements, in ghost sizes. */
const PERIOD = 1;
/** By which share of the requests a challenger must have missed less: a change has its cost, and close is good enough. */
const MARGIN = 0.007;
/**
 * Judgements that a winner stays for at least: a loop favours one policy in one part and another in the next, and
 * a change for each would cost more than either.
 */
const LEAST_REIGN = 3;

/**
 * Ghosts: small caches of keys only, one for each policy, which see the same sample of the requests; the one that
 * has missed least of late is the winner. They share the table of keys, so that a request costs one look-up, and
 * each has code of its own, as calls on a class that is known cost a third of those on any.
 */
export class Duel {
  readonly #slots: SlotIndex;
  /** Which ghosts hold a slot, one bit for each. */
  readonly #members: Uint8Array;
  readonly #entries: number;
  readonly #lru = new LruPolicy(new Links());
  readonly #s3fifo: S3FifoPolicy;
  readonly #tinyLfu: TinyLfuPolicy;
  /** How many keys each holds. */
  readonly #held = new Int32Array(CONTESTANTS.length);
  readonly #tinyLfuCapacity: Capacity;
  /** Of late, the older the less. */
  readonly #misses = new Float64Array(CONTESTANTS.length);
  #requests = 0;
  #weightOfPast = 0;
  #winner: number;
  /** Judgements since the winner changed. */
  #reign = LEAST_REIGN;

  constructor(entries: number, winner: Contestant = 's3fifo') {
    this.#entries = entries;
    this.#winner = CONTESTANTS.indexOf(winner);
    // All ghosts may hold other keys, and a new one comes before another leaves.
    const slots = CONTESTANTS.length * entries + 1;
    this.#slots = new SlotIndex(slots);
    this.#members = new Uint8Array(slots);
    this.#s3fifo = new S3FifoPolicy(new Links(), new Capacity(entries, Number.MAX_SAFE_INTEGER));
    this.#tinyLfuCapacity = new Capacity(entries, Number.MAX_SAFE_INTEGER);
    this.#tinyLfu = new TinyLfuPolicy(new Links(), this.#tinyLfuCapacity, new FrequencySketch());
  }

  get winner(): Contestant {
    return CONTESTANTS[this.#winner] ?? 's3fifo';
  }

  /** Of W-TinyLFU's room, as it has turned out best. */
  get windowShare(): number {
    return this.#tinyLfu.windowShare;
  }

  /** Shows a request to all; says whether the winner was judged anew. */
  request(hash: number): boolean {
    let slot = this.#slots.find(hash);
    if (slot === NONE) slot = this.#slots.add(hash);
    const members = this.#members[slot] ?? 0;
    this.#members[slot] = LRU | S3_FIFO | TINY_LFU;
    if ((members & LRU) !== 0) this.#lru.use(slot);
    else this.#missLru(slot, hash);
    if ((members & S3_FIFO) !== 0) this.#s3fifo.use(slot);
    else this.#missS3Fifo(slot, hash);
    if ((members & TINY_LFU) !== 0) this.#tinyLfu.use(slot);
    else this.#missTinyLfu(slot, hash);
    this.#requests += 1;
    if (this.#requests < PERIOD * this.#entries) return false;
    this.#judge();
    return true;
  }

  #missLru(slot: number, hash: number): void {
    this.#lru.add(slot, hash, 1);
    if (!this.#isOver(0)) return;
    const victim = this.#lru.victim();
    this.#lru.evict(victim);
    this.#leave(victim, LRU);
  }

  #missS3Fifo(slot: number, hash: number): void {
    this.#s3fifo.announce(hash);
    if (this.#isOver(1)) {
      const victim = this.#s3fifo.victim();
      this.#s3fifo.evict(victim);
      this.#leave(victim, S3_FIFO);
    }
    this.#s3fifo.add(slot, hash, 1);
  }

  #missTinyLfu(slot: number, hash: number): void {
    const isOver = this.#isOver(2);
    this.#tinyLfuCapacity.entries = this.#held[2] ?? 0;
    this.#tinyLfu.add(slot, hash, 1);
    if (!isOver) return;
    const victim = this.#tinyLfu.victim();
    this.#tinyLfu.evict(victim);
    this.#leave(victim, TINY_LFU);
  }

  /** Counts a miss; says whether one more is too many. */
  #isOver(contestant: number): boolean {
    const held = this.#held[contestant] ?? 0;
    this.#misses[contestant] = (this.#misses[contestant] ?? 0) + 1;
    if (held === this.#entries) return true;
    this.#held[contestant] = held + 1;
    return false;
  }

  #judge(): void {
    const misses = this.#misses;
    const past = this.#weightOfPast + this.#requests;
    let best = this.#winner;
    for (let i = 0; i < misses.length; i++) {
      if ((misses[i] ?? 0) < (misses[best] ?? 0)) best = i;
    }
    const lead = (misses[this.#winner] ?? 0) - (misses[best] ?? 0);
    this.#reign += 1;
    if (lead > MARGIN * past && this.#reign > LEAST_REIGN) {
      this.#winner = best;
      this.#reign = 0;
    }
    const keep = 1 - PERIOD / MEMORY;
    for (let i = 0; i < misses.length; i++) misses[i] = (misses[i] ?? 0) * keep;
    this.#weightOfPast = past * keep;
    this.#requests = 0;
  }

  #leave(slot: number, member: number): void {
    const members = (this.#members[slot] ?? 0) & ~member;
    this.#members[slot] = members;
    if (members === 0) this.#slots.delete(slot);
  }
}
