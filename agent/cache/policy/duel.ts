import { Capacity, type EvictionPolicy } from './eviction-policy.ts';
import { FrequencySketch } from './frequency-sketch.ts';
import { LruPolicy } from './lru-policy.ts';
import { S3FifoPolicy } from './s3-fifo-policy.ts';
import { SlotIndex } from './slot-index.ts';
import { Links, NONE } from './slot-list.ts';
import { TinyLfuPolicy } from './tiny-lfu-policy.ts';

export type Contestant = (typeof CONTESTANTS)[number];

/** A cache of keys only that shows how a policy would fare. */
class Ghost {
  readonly name: Contestant;
  readonly policy: EvictionPolicy;
  readonly capacity: Capacity;
  misses = 0;

  constructor(name: Contestant, policy: EvictionPolicy, capacity: Capacity) {
    this.name = name;
    this.policy = policy;
    this.capacity = capacity;
  }
}

/** How much the past counts, in ghost sizes of requests: each judgement forgets a twentieth of it. */
const MEMORY = 20;
/** Requests between judgements, in ghost sizes. */
const PERIOD = 1;
/** By which share of the requests a challenger must have missed less: a change has its cost, and close is good enough. */
const MARGIN = 0.007;

const CONTESTANTS = ['lru', 's3fifo', 'tinylfu'] as const;

/**
 * Small caches of keys only, one for each policy, which see the same sample of the requests; the one that has
 * missed least of late is the winner. They share the table of keys, so that a request costs one look-up.
 */
export class Duel {
  readonly #slots: SlotIndex;
  /** Which ghosts hold a slot, one bit for each. */
  readonly #members: Uint8Array;
  readonly #ghosts: readonly Ghost[];
  /** The ghosts' policies once more, as calls on a known class cost a third of those on any. */
  readonly #lru = new LruPolicy(new Links());
  readonly #s3fifo: S3FifoPolicy;
  readonly #tinyLfu: TinyLfuPolicy;
  readonly #entries: number;
  #requests = 0;
  #weightOfPast = 0;
  #winner: number;

  constructor(entries: number, winner: Contestant = 's3fifo') {
    this.#entries = entries;
    // All ghosts may hold other keys, and a new one comes before another leaves.
    const slots = CONTESTANTS.length * entries + 1;
    this.#slots = new SlotIndex(slots);
    this.#members = new Uint8Array(slots);
    this.#winner = CONTESTANTS.indexOf(winner);
    const capacities = [0, 1, 2].map(() => new Capacity(entries, Number.MAX_SAFE_INTEGER)) as [
      Capacity,
      Capacity,
      Capacity,
    ];
    this.#s3fifo = new S3FifoPolicy(new Links(), capacities[1]);
    this.#tinyLfu = new TinyLfuPolicy(new Links(), capacities[2], new FrequencySketch());
    this.#ghosts = [
      new Ghost('lru', this.#lru, capacities[0]),
      new Ghost('s3fifo', this.#s3fifo, capacities[1]),
      new Ghost('tinylfu', this.#tinyLfu, capacities[2]),
    ];
  }

  get winner(): Contestant {
    return this.#ghosts[this.#winner]?.name ?? 's3fifo';
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
    if ((members & 1) !== 0) this.#lru.use(slot);
    else this.#miss(0, slot, hash);
    if ((members & 2) !== 0) this.#s3fifo.use(slot);
    else this.#miss(1, slot, hash);
    if ((members & 4) !== 0) this.#tinyLfu.use(slot);
    else this.#miss(2, slot, hash);
    this.#requests += 1;
    if (this.#requests < PERIOD * this.#entries) return false;
    this.#judge();
    return true;
  }

  #miss(contestant: number, slot: number, hash: number): void {
    const ghost = this.#ghosts[contestant];
    if (ghost === undefined) return;
    const bit = 1 << contestant;
    ghost.misses += 1;
    this.#members[slot] = (this.#members[slot] ?? 0) | bit;
    if (ghost.policy.announce(hash)) this.#makeRoom(ghost, bit, this.#entries - 1);
    ghost.policy.add(slot, hash, 1);
    ghost.capacity.entries += 1;
    ghost.capacity.weight += 1;
    this.#makeRoom(ghost, bit, this.#entries);
  }

  #makeRoom(ghost: Ghost, bit: number, most: number): void {
    if (ghost.capacity.entries <= most) return;
    ghost.capacity.noteFull();
    const victim = ghost.policy.victim();
    ghost.policy.evict(victim);
    ghost.capacity.entries -= 1;
    ghost.capacity.weight -= 1;
    this.#leave(victim, bit);
  }

  #judge(): void {
    const past = this.#weightOfPast + this.#requests;
    let best = this.#winner;
    for (let i = 0; i < this.#ghosts.length; i++) {
      if ((this.#ghosts[i]?.misses ?? 0) < (this.#ghosts[best]?.misses ?? 0)) best = i;
    }
    const lead = (this.#ghosts[this.#winner]?.misses ?? 0) - (this.#ghosts[best]?.misses ?? 0);
    if (lead > MARGIN * past) this.#winner = best;
    const keep = 1 - PERIOD / MEMORY;
    for (const ghost of this.#ghosts) ghost.misses *= keep;
    this.#weightOfPast = past * keep;
    this.#requests = 0;
  }

  #leave(slot: number, bit: number): void {
    const members = (this.#members[slot] ?? 0) & ~bit;
    this.#members[slot] = members;
    if (members === 0) this.#slots.delete(slot);
  }
}
