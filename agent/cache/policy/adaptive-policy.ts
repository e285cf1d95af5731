import { Duel } from './duel.ts';
import type { Capacity, EvictionPolicy } from './eviction-policy.ts';
import { FrequencySketch } from './frequency-sketch.ts';
import { LruPolicy } from './lru-policy.ts';
import { S3FifoPolicy } from './s3-fifo-policy.ts';
import type { Links, SlotList } from './slot-list.ts';
import { TinyLfuPolicy } from './tiny-lfu-policy.ts';

/**
 * How large the ghosts of the duel are, and which share of the keys they see at most. Larger ones tell close
 * policies apart better, but each request that they see costs several times what a hit costs otherwise.
 */
const GHOST_ENTRIES = 512;
const MAX_SAMPLE = 0.2;
/** A small cache is sampled more, as too few ghosts tell nothing; one of this size is seen whole. */
const MIN_GHOST_ENTRIES = 100;
/** By which the room must have changed for the ghosts to be resized. */
const ROOM_CHANGE = 1.5;

/**
 * LRU, S3-FIFO or W-TinyLFU, whichever serves the workload best of late: none of them is best everywhere. A duel
 * of small ghost caches says which. The cached entries stay through a change, only their order is taken over.
 */
export class AdaptivePolicy implements EvictionPolicy {
  readonly #links: Links;
  readonly #capacity: Capacity;
  readonly #sketch = new FrequencySketch();
  readonly #lru: LruPolicy;
  readonly #s3fifo: S3FifoPolicy;
  readonly #tinyLfu: TinyLfuPolicy;
  #active: EvictionPolicy;
  #duel: Duel;
  /** The room that the duel stands for. */
  #duelRoom: number;
  /** Keys with a lower hash are in the sample. */
  #threshold: number;

  constructor(links: Links, capacity: Capacity) {
    this.#links = links;
    this.#capacity = capacity;
    this.#lru = new LruPolicy(links);
    this.#s3fifo = new S3FifoPolicy(links, capacity);
    this.#tinyLfu = new TinyLfuPolicy(links, capacity, this.#sketch);
    this.#active = this.#s3fifo;
    this.#duelRoom = capacity.room;
    this.#threshold = thresholdOf(sampleOf(this.#duelRoom));
    this.#duel = new Duel(ghostEntriesOf(this.#duelRoom));
  }

  get lists(): readonly SlotList[] {
    return this.#active.lists;
  }

  announce(hash: number): boolean {
    return this.#active.announce(hash);
  }

  add(slot: number, hash: number, weight: number): void {
    this.#active.add(slot, hash, weight);
    if (this.#active !== this.#tinyLfu) {
      this.#sketch.ensure(this.#capacity.room);
      this.#sketch.increment(hash);
    }
    if (hash < this.#threshold) this.#observe(hash);
  }

  use(slot: number): void {
    this.#active.use(slot);
    const hash = this.#links.hash[slot] ?? 0;
    // So that it knows what is popular when its turn comes; that cannot be made up for then.
    if (this.#active !== this.#tinyLfu) this.#sketch.increment(hash);
    if (hash < this.#threshold) this.#observe(hash);
  }

  reweigh(slot: number, weight: number): void {
    this.#active.reweigh(slot, weight);
  }

  victim(): number {
    return this.#active.victim();
  }

  evict(slot: number): void {
    // So that it starts with ghosts when its turn comes.
    if (this.#active !== this.#s3fifo) this.#s3fifo.remember(slot);
    this.#active.evict(slot);
    this.#followRoom();
  }

  remove(slot: number): void {
    this.#active.remove(slot);
  }

  clear(): void {
    this.#active.clear();
  }

  #observe(hash: number): void {
    if (!this.#duel.request(hash)) return;
    const { winner } = this.#duel;
    if (winner === 'lru') this.#activate(this.#lru);
    else if (winner === 's3fifo') this.#activate(this.#s3fifo);
    else if (this.#active !== this.#tinyLfu) {
      this.#tinyLfu.adopt(this.#active.lists, this.#duel.windowShare);
      this.#active = this.#tinyLfu;
    }
  }

  #activate(policy: LruPolicy | S3FifoPolicy): void {
    if (policy === this.#active) return;
    policy.adopt(this.#active.lists);
    this.#active = policy;
  }

  /** The room is known only once something has to leave: bytes may run out first, or others take their share. */
  #followRoom(): void {
    const { room } = this.#capacity;
    if (room < ROOM_CHANGE * this.#duelRoom && ROOM_CHANGE * room > this.#duelRoom) return;
    this.#duelRoom = room;
    this.#threshold = thresholdOf(sampleOf(room));
    this.#duel = new Duel(ghostEntriesOf(room), this.#duel.winner);
  }
}

/** The share of keys that the ghosts see. */
function sampleOf(room: number): number {
  return Math.min(1, GHOST_ENTRIES / room, Math.max(MAX_SAMPLE, MIN_GHOST_ENTRIES / room));
}

function ghostEntriesOf(room: number): number {
  return Math.max(1, Math.round(sampleOf(room) * room));
}

/** Hashes are signed numbers of 32 bits. */
function thresholdOf(sample: number): number {
  return Math.round(sample * 2 ** 32 - 2 ** 31);
}
