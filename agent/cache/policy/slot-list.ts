/** No slot: the end of a list. */
export const NONE = -1;

const INITIAL_SLOTS = 64;

/**
 * What a policy knows of each slot, in typed arrays: links, the list it stands in, uses, hash of its key, weight.
 * They double as slots are handed out, so that a large bound costs nothing until it is used.
 */
export class Links {
  next = new Int32Array(INITIAL_SLOTS);
  previous = new Int32Array(INITIAL_SLOTS);
  /** The label of the list that the slot stands in. */
  label = new Uint8Array(INITIAL_SLOTS);
  uses = new Uint8Array(INITIAL_SLOTS);
  hash = new Int32Array(INITIAL_SLOTS);
  weight = new Float64Array(INITIAL_SLOTS);

  /** Makes room for a slot. */
  ensure(slot: number): void {
    const { length } = this.next;
    if (slot < length) return;
    const longer = Math.max(slot + 1, 2 * length);
    this.next = lengthen(this.next, new Int32Array(longer));
    this.previous = lengthen(this.previous, new Int32Array(longer));
    this.label = lengthen(this.label, new Uint8Array(longer));
    this.uses = lengthen(this.uses, new Uint8Array(longer));
    this.hash = lengthen(this.hash, new Int32Array(longer));
    this.weight = lengthen(this.weight, new Float64Array(longer));
  }
}

/** A doubly linked list of slots, from the oldest to the newest. A slot stands in at most one list of its links. */
export class SlotList {
  oldest = NONE;
  newest = NONE;
  count = 0;
  weight = 0;
  readonly label: number;
  readonly #links: Links;

  constructor(links: Links, label: number) {
    this.#links = links;
    this.label = label;
  }

  /** Adds a slot as the newest. */
  push(slot: number): void {
    const links = this.#links;
    links.label[slot] = this.label;
    links.next[slot] = NONE;
    links.previous[slot] = this.newest;
    if (this.newest === NONE) this.oldest = slot;
    else links.next[this.newest] = slot;
    this.newest = slot;
    this.count += 1;
    this.weight += links.weight[slot] ?? 0;
  }

  /** Adds a slot as the oldest. */
  pushOldest(slot: number): void {
    const links = this.#links;
    links.label[slot] = this.label;
    links.previous[slot] = NONE;
    links.next[slot] = this.oldest;
    if (this.oldest === NONE) this.newest = slot;
    else links.previous[this.oldest] = slot;
    this.oldest = slot;
    this.count += 1;
    this.weight += links.weight[slot] ?? 0;
  }

  remove(slot: number): void {
    const links = this.#links;
    const next = links.next[slot] ?? NONE;
    const previous = links.previous[slot] ?? NONE;
    if (next === NONE) this.newest = previous;
    else links.previous[next] = previous;
    if (previous === NONE) this.oldest = next;
    else links.next[previous] = next;
    this.count -= 1;
    this.weight -= links.weight[slot] ?? 0;
  }

  /** Makes a slot of this list the newest. */
  renew(slot: number): void {
    if (slot === this.newest) return;
    this.remove(slot);
    this.push(slot);
  }

  newerThan(slot: number): number {
    return this.#links.next[slot] ?? NONE;
  }

  olderThan(slot: number): number {
    return this.#links.previous[slot] ?? NONE;
  }

  /** Takes all of another list of the same links as the newest, in constant time; labels are the caller's to set. */
  append(other: SlotList): void {
    if (other.oldest === NONE) return;
    if (this.newest === NONE) this.oldest = other.oldest;
    else {
      this.#links.next[this.newest] = other.oldest;
      this.#links.previous[other.oldest] = this.newest;
    }
    this.newest = other.newest;
    this.count += other.count;
    this.weight += other.weight;
    other.clear();
  }

  clear(): void {
    this.oldest = NONE;
    this.newest = NONE;
    this.count = 0;
    this.weight = 0;
  }
}

function lengthen<T extends Uint8Array | Int32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
