import type { SlotList } from './slot-list.ts';

/** Which entry leaves: an order over slots. The store that owns the slots tells what happens to them. */
export interface EvictionPolicy {
  /** Says that a new entry is about to come; true if its room is to be made before it is added, false if after. */
  announce(hash: number): boolean;
  /** A new entry; its room has been made, or is made right after. */
  add(slot: number, hash: number, weight: number): void;
  /** A hit. */
  use(slot: number): void;
  reweigh(slot: number, weight: number): void;
  /** The slot to evict next, or NONE; it stays until it is removed. */
  victim(): number;
  /** Removes the slot that `victim` named: the policy may remember its key for a while. */
  evict(slot: number): void;
  /** Removes a slot for a reason that says nothing about its worth. */
  remove(slot: number): void;
  clear(): void;
  /** Its lists, from the one least worth keeping to the most. */
  readonly lists: readonly SlotList[];
}

/** How much a store may hold, measured in what it runs out of first: entries or weight. */
export class Capacity {
  maxEntries: number;
  maxWeight: number;
  /** The store's present content. */
  entries = 0;
  weight = 0;
  /** The bound of the scarcer measure. */
  full: number;
  #byWeight = false;

  constructor(maxEntries: number, maxWeight: number) {
    this.maxEntries = maxEntries;
    this.maxWeight = maxWeight;
    this.full = maxEntries;
  }

  /** Takes other bounds; what there is room for is not known until something has to leave. */
  resize(maxEntries: number, maxWeight: number): void {
    this.maxEntries = maxEntries;
    this.maxWeight = maxWeight;
    this.full = maxEntries;
    this.#byWeight = false;
  }

  /**
   * Notes that the content of this moment is all that there is room for. It is less than the bounds where the
   * store shares a larger limit with others.
   */
  noteFull(): void {
    this.#byWeight = this.weight * this.maxEntries > this.entries * this.maxWeight;
    this.full = this.#byWeight
      ? Math.min(this.weight, this.maxWeight)
      : Math.min(this.entries, this.maxEntries);
  }

  /** How much of `full` a list takes. */
  taken(list: SlotList): number {
    return this.#byWeight ? list.weight : list.count;
  }

  /** How many entries fit, as far as is known. */
  get room(): number {
    return this.#byWeight ? this.entries : this.full;
  }
}
