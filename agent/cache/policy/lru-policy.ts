import type { EvictionPolicy } from './eviction-policy.ts';
import { type Links, SlotList } from './slot-list.ts';

/** Evicts the least recently used. */
export class LruPolicy implements EvictionPolicy {
  readonly lists: readonly SlotList[];
  readonly #links: Links;
  readonly #list: SlotList;

  constructor(links: Links) {
    this.#links = links;
    this.#list = new SlotList(links, 0);
    this.lists = [this.#list];
  }

  announce(): boolean {
    return false;
  }

  add(slot: number, hash: number, weight: number): void {
    this.#links.ensure(slot);
    this.#links.hash[slot] = hash;
    this.#links.weight[slot] = weight;
    this.#list.push(slot);
  }

  use(slot: number): void {
    this.#list.renew(slot);
  }

  reweigh(slot: number, weight: number): void {
    this.#list.weight += weight - (this.#links.weight[slot] ?? 0);
    this.#links.weight[slot] = weight;
  }

  victim(): number {
    return this.#list.oldest;
  }

  evict(slot: number): void {
    this.#list.remove(slot);
  }

  remove(slot: number): void {
    this.#list.remove(slot);
  }

  clear(): void {
    this.#list.clear();
  }

  /** Takes over what another policy kept on the same links. */
  adopt(lists: readonly SlotList[]): void {
    for (const list of lists) this.#list.append(list);
    this.#links.label.fill(this.#list.label);
  }
}
