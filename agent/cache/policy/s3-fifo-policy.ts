import type { Capacity, EvictionPolicy } from './eviction-policy.ts';
import { GhostQueue } from './ghost-queue.ts';
import { type Links, NONE, SlotList } from './slot-list.ts';

const SMALL = 0;
const MAIN = 1;
const SMALL_SHARE = 0.1;
/** Uses while in the small queue that earn a place in the main one. */
const PROMOTING_USES = 2;
/** Two bits. */
const MAX_USES = 3;

/**
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023).
 *
 * New keys pass a small queue; those used there go on to the main queue, the others leave and are remembered as
 * ghosts, which enter the main queue at once when they come back. The main queue gives each use another round.
 */
export class S3FifoPolicy implements EvictionPolicy {
  readonly lists: readonly SlotList[];
  readonly #links: Links;
  readonly #capacity: Capacity;
  readonly #small: SlotList;
  readonly #main: SlotList;
  readonly #ghosts = new GhostQueue();
  /** Until something has to leave, what the small queue has no room for goes to the main one. */
  #isFilling = true;
  #isReturning = false;

  constructor(links: Links, capacity: Capacity) {
    this.#links = links;
    this.#capacity = capacity;
    this.#small = new SlotList(links, SMALL);
    this.#main = new SlotList(links, MAIN);
    this.lists = [this.#small, this.#main];
  }

  /** Looks for the ghost now: making room may push it out. */
  announce(hash: number): boolean {
    this.#isReturning = this.#ghosts.take(hash);
    return true;
  }

  add(slot: number, hash: number, weight: number): void {
    const links = this.#links;
    links.ensure(slot);
    links.hash[slot] = hash;
    links.weight[slot] = weight;
    links.uses[slot] = 0;
    if (this.#isReturning || (this.#isFilling && this.#isSmallFull)) this.#main.push(slot);
    else this.#small.push(slot);
  }

  use(slot: number): void {
    const uses = this.#links.uses[slot] ?? 0;
    if (uses < MAX_USES) this.#links.uses[slot] = uses + 1;
  }

  reweigh(slot: number, weight: number): void {
    this.#listOf(slot).weight += weight - (this.#links.weight[slot] ?? 0);
    this.#links.weight[slot] = weight;
  }

  victim(): number {
    const capacity = this.#capacity;
    this.#isFilling = false;
    const isMainOver = capacity.taken(this.#main) > capacity.full - this.#smallBound;
    const slot = isMainOver ? NONE : this.#smallVictim();
    if (slot !== NONE) return slot;
    return this.#main.oldest === NONE ? this.#small.oldest : this.#mainVictim();
  }

  evict(slot: number): void {
    if (this.#links.label[slot] === SMALL) this.remember(slot);
    this.remove(slot);
  }

  remove(slot: number): void {
    this.#listOf(slot).remove(slot);
  }

  clear(): void {
    this.#small.clear();
    this.#main.clear();
    this.#ghosts.clear();
    this.#isFilling = true;
  }

  /** Takes over what another policy kept on the same links: all of it as proven, each with no uses yet. */
  adopt(lists: readonly SlotList[]): void {
    for (const list of lists) this.#main.append(list);
    this.#links.label.fill(MAIN);
    this.#links.uses.fill(0);
    this.#isFilling = false;
  }

  get #smallBound(): number {
    return Math.max(1, Math.floor(this.#capacity.full * SMALL_SHARE));
  }

  get #isSmallFull(): boolean {
    return this.#capacity.taken(this.#small) >= this.#smallBound;
  }

  /** The oldest of the small queue that has not earned more; NONE when all of them had. */
  #smallVictim(): number {
    for (;;) {
      const slot = this.#small.oldest;
      if (slot === NONE || (this.#links.uses[slot] ?? 0) < PROMOTING_USES) return slot;
      this.#small.remove(slot);
      this.#links.uses[slot] = 0;
      this.#main.push(slot);
    }
  }

  #mainVictim(): number {
    for (;;) {
      const slot = this.#main.oldest;
      const uses = this.#links.uses[slot] ?? 0;
      if (uses === 0) return slot;
      this.#links.uses[slot] = uses - 1;
      this.#main.renew(slot);
    }
  }

  remember(slot: number): void {
    this.#ghosts.add(this.#links.hash[slot] ?? 0, Math.ceil(this.#capacity.room * (1 - SMALL_SHARE)));
  }

  #listOf(slot: number): SlotList {
    return this.#links.label[slot] === SMALL ? this.#small : this.#main;
  }
}
