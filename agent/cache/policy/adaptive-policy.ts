import { Duel } from './duel.ts';
import type { Capacity, EvictionPolicy } from './eviction-policy.ts';
import { FrequencySketch } from './frequency-sketch.ts';
import { LruPolicy } from './lru-policy.ts';
import { S3FifoPolicy } from './s3-fifo-policy.ts';
import { type Links, NONE, type SlotList } from './slot-list.ts';
import { TinyLfuPolicy } from './tiny-lfu-policy.ts';

const E = (n: string, d: number) => Number(process.env[n] ?? d);
export const TUNING = { ghostEntries: E('GE', 256), maxRate: E('MR', 0.25), minGhost: E('MG', 100), feed: E('FEED', 1) };

export class AdaptivePolicy implements EvictionPolicy {
  readonly #links: Links;
  readonly #capacity: Capacity;
  readonly #sketch = new FrequencySketch();
  readonly #lru: LruPolicy;
  readonly #s3fifo: S3FifoPolicy;
  readonly #tinyLfu: TinyLfuPolicy;
  #active: EvictionPolicy;
  #duel: Duel;
  #duelRoom: number;
  #threshold = 0;

  constructor(links: Links, capacity: Capacity) {
    this.#links = links;
    this.#capacity = capacity;
    this.#lru = new LruPolicy(links);
    this.#s3fifo = new S3FifoPolicy(links, capacity);
    this.#tinyLfu = new TinyLfuPolicy(links, capacity, this.#sketch);
    this.#active = this.#s3fifo;
    this.#duelRoom = 0;
    this.#duel = this.#newDuel();
  }

  get lists(): readonly SlotList[] {
    return this.#active.lists;
  }

  announce(hash: number): boolean {
    return this.#active.announce(hash);
  }

  add(slot: number, hash: number, weight: number): void {
    this.#active.add(slot, hash, weight);
    if (hash < this.#threshold) this.#observe(hash);
  }

  use(slot: number): void {
    this.#active.use(slot);
    const hash = this.#links.hash[slot] ?? 0;
    if (hash < this.#threshold) this.#observe(hash);
  }

  reweigh(slot: number, weight: number): void {
    this.#active.reweigh(slot, weight);
  }

  victim(): number {
    return this.#active.victim();
  }

  evict(slot: number): void {
    if (this.#active !== this.#s3fifo && TUNING.feed) this.#s3fifo.remember(slot);
    this.#active.evict(slot);
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
    if (winner === 'lru' && this.#active !== this.#lru) {
      this.#lru.adopt(this.#active.lists);
      this.#active = this.#lru;
    } else if (winner === 's3fifo' && this.#active !== this.#s3fifo) {
      this.#s3fifo.adopt(this.#active.lists);
      this.#active = this.#s3fifo;
    } else if (winner === 'tinylfu') {
      if (this.#active !== this.#tinyLfu) {
        this.#warmSketch();
        this.#tinyLfu.adopt(this.#active.lists, this.#duel.windowShare);
        this.#active = this.#tinyLfu;
      }
    }
  }

  /** Counts what is known of the entries, or nothing new would get in against them and none of them would be told apart. */
  #warmSketch(): void {
    this.#sketch.clear();
    this.#sketch.ensure(this.#capacity.room);
    for (const list of this.#active.lists) {
      for (let slot = list.oldest; slot !== NONE; slot = list.newerThan(slot)) {
        const hash = this.#links.hash[slot] ?? 0;
        for (let uses = this.#links.uses[slot] ?? 0; uses >= 0; uses--) this.#sketch.increment(hash);
      }
    }
  }

  #newDuel(): Duel {
    const { room } = this.#capacity;
    const rate = Math.min(Math.max(TUNING.maxRate, TUNING.minGhost / room), 1, TUNING.ghostEntries / room);
    this.#duelRoom = room;
    this.#threshold = Math.round(rate * 2 ** 32 - 2 ** 31);
    return new Duel(Math.round(rate * room));
  }
}
