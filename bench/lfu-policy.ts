import type { EvictionPolicy } from '../agent/cache/policy/eviction-policy.ts';
import { type Links, NONE, SlotList } from '../agent/cache/policy/slot-list.ts';

/** Literal LFU, for comparison only: evicts the least used, among equals the one that got there first. */
export class LfuPolicy implements EvictionPolicy {
  readonly #links: Links;
  /** By number of uses. */
  readonly #byUses: SlotList[] = [];
  readonly #uses: number[] = [];
  #least = 0;

  constructor(links: Links) {
    this.#links = links;
  }

  get lists(): readonly SlotList[] {
    return this.#byUses;
  }

  announce(): boolean {
    return true;
  }

  add(slot: number, hash: number, weight: number): void {
    this.#links.ensure(slot);
    this.#links.hash[slot] = hash;
    this.#links.weight[slot] = weight;
    this.#uses[slot] = 0;
    this.#list(0).push(slot);
    this.#least = 0;
  }

  use(slot: number): void {
    const uses = this.#uses[slot] ?? 0;
    this.#list(uses).remove(slot);
    this.#list(uses + 1).push(slot);
    this.#uses[slot] = uses + 1;
  }

  reweigh(slot: number, weight: number): void {
    this.#list(this.#uses[slot] ?? 0).weight += weight - (this.#links.weight[slot] ?? 0);
    this.#links.weight[slot] = weight;
  }

  victim(): number {
    for (let uses = this.#least; uses < this.#byUses.length; uses++) {
      const { oldest } = this.#list(uses);
      if (oldest === NONE) continue;
      this.#least = uses;
      return oldest;
    }
    return NONE;
  }

  evict(slot: number): void {
    this.remove(slot);
  }

  remove(slot: number): void {
    this.#list(this.#uses[slot] ?? 0).remove(slot);
  }

  clear(): void {
    for (const list of this.#byUses) list.clear();
    this.#least = 0;
  }

  #list(uses: number): SlotList {
    let list = this.#byUses[uses];
    while (list === undefined) {
      this.#byUses.push(new SlotList(this.#links, 0));
      list = this.#byUses[uses];
    }
    return list;
  }
}
