import type { Capacity, EvictionPolicy } from './eviction-policy.ts';
import { type FrequencySketch, SAMPLE_FACTOR } from './frequency-sketch.ts';
import { type Links, NONE, SlotList } from './slot-list.ts';

const WINDOW = 0;
const PROBATION = 1;
const PROTECTED = 2;
const INITIAL_WINDOW_SHARE = 0.01;
/** Caffeine lets the window shrink to one entry, from where a step can cost a database's trace half of its hits. */
const LEAST_WINDOW_SHARE = INITIAL_WINDOW_SHARE;
const PROTECTED_SHARE_OF_MAIN = 0.8;
/** The first step of the climb, and the one after a change of the hit ratio that tells of another workload. */
const STEP_SHARE = 0.0625;
const STEP_DECAY = 0.98;
const RESTART_CHANGE = 0.05;
/** A candidate this frequent gets in by luck now and then, so that colliding hashes cannot lock it out. */
const LUCKY_FREQUENCY = 6;
const LUCK = 127;

/**
 * W-TinyLFU (Einziger, Friedman, Manes: TinyLFU, 2017; Einziger, Eytan, Friedman, Manes: Adaptive software cache
 * management, 2018), with the constants of Caffeine 3.
 *
 * New keys pass a window in order of recency. What falls out of it gets into the main part only if it was used
 * more often than what would have to leave there. The window grows and shrinks by hill climbing.
 */
export class TinyLfuPolicy implements EvictionPolicy {
  readonly lists: readonly SlotList[];
  readonly #links: Links;
  readonly #capacity: Capacity;
  readonly #sketch: FrequencySketch;
  readonly #window: SlotList;
  readonly #probation: SlotList;
  readonly #protected: SlotList;
  #windowShare = INITIAL_WINDOW_SHARE;
  #protectedShare = (1 - INITIAL_WINDOW_SHARE) * PROTECTED_SHARE_OF_MAIN;
  #step = -STEP_SHARE;
  #hits = 0;
  #misses = 0;
  /** NaN where there is none to compare with. */
  #lastHitRatio = 0;
  #luck = 1;
  /** A candidate that has won against one victim and needs more room than that one gave. */
  #winner = NONE;

  constructor(links: Links, capacity: Capacity, sketch: FrequencySketch) {
    this.#links = links;
    this.#capacity = capacity;
    this.#sketch = sketch;
    this.#window = new SlotList(links, WINDOW);
    this.#probation = new SlotList(links, PROBATION);
    this.#protected = new SlotList(links, PROTECTED);
    this.lists = [this.#probation, this.#window, this.#protected];
  }

  /** The part of the room that the window may take. */
  get windowShare(): number {
    return this.#windowShare;
  }

  announce(): boolean {
    return false;
  }

  add(slot: number, hash: number, weight: number): void {
    this.#links.ensure(slot);
    this.#links.hash[slot] = hash;
    this.#links.weight[slot] = weight;
    if (2 * this.#capacity.entries >= this.#capacity.room) this.#sketch.ensure(this.#capacity.room);
    this.#sketch.increment(hash);
    this.#misses += 1;
    this.#winner = NONE;
    this.#window.push(slot);
    this.#climb();
  }

  use(slot: number): void {
    this.#sketch.increment(this.#links.hash[slot] ?? 0);
    this.#hits += 1;
    const label = this.#links.label[slot];
    if (label === WINDOW) this.#window.renew(slot);
    else if (label === PROTECTED) this.#protected.renew(slot);
    else {
      this.#probation.remove(slot);
      this.#protected.push(slot);
      this.#demoteProtected();
    }
  }

  reweigh(slot: number, weight: number): void {
    this.#listOf(slot).weight += weight - (this.#links.weight[slot] ?? 0);
    this.#links.weight[slot] = weight;
  }

  victim(): number {
    const candidate = this.#nextCandidate();
    const victim = this.#probation.oldest;
    if (victim === NONE) return candidate === NONE ? this.#protected.oldest : candidate;
    if (candidate === NONE || candidate === victim) return victim;
    if (!this.#isAdmitted(candidate, victim)) return candidate;
    this.#winner = candidate;
    return victim;
  }

  evict(slot: number): void {
    this.remove(slot);
  }

  remove(slot: number): void {
    if (slot === this.#winner) this.#winner = NONE;
    this.#listOf(slot).remove(slot);
  }

  clear(): void {
    this.#winner = NONE;
    for (const list of this.lists) list.clear();
    this.#sketch.clear();
  }

  /**
   * Takes over what another policy kept on the same links: the newest become the window, or it would stay empty
   * for as long as candidates lose. The window's part is what it has proven to be elsewhere.
   */
  adopt(lists: readonly SlotList[], windowShare: number): void {
    this.#winner = NONE;
    this.#hits = 0;
    this.#misses = 0;
    this.#lastHitRatio = NaN;
    this.#protectedShare += this.#windowShare - windowShare;
    this.#windowShare = windowShare;
    for (const list of lists) this.#probation.append(list);
    this.#links.label.fill(PROBATION);
    const bound = this.#bound(windowShare);
    while (this.#capacity.taken(this.#window) < bound && this.#probation.newest !== NONE) {
      const slot = this.#probation.newest;
      this.#probation.remove(slot);
      this.#window.pushOldest(slot);
    }
  }

  #nextCandidate(): number {
    const bound = this.#bound(this.#windowShare);
    let first = NONE;
    while (this.#capacity.taken(this.#window) > bound) {
      const slot = this.#window.oldest;
      if (slot === NONE) break;
      this.#window.remove(slot);
      this.#probation.push(slot);
      if (first === NONE) first = slot;
    }
    if (this.#winner !== NONE) return this.#winner;
    return first === NONE ? this.#window.oldest : first;
  }

  #isAdmitted(candidate: number, victim: number): boolean {
    const candidateFrequency = this.#sketch.frequency(this.#links.hash[candidate] ?? 0);
    if (candidateFrequency > this.#sketch.frequency(this.#links.hash[victim] ?? 0)) return true;
    if (candidateFrequency < LUCKY_FREQUENCY) return false;
    this.#luck = (Math.imul(this.#luck, 1664525) + 1013904223) | 0;
    return ((this.#luck >>> 16) & LUCK) === 0;
  }

  #climb(): void {
    if (!this.#sketch.isReady) {
      this.#hits = 0;
      this.#misses = 0;
      return;
    }
    const requests = this.#hits + this.#misses;
    if (requests < SAMPLE_FACTOR * this.#capacity.room) return;
    const hitRatio = this.#hits / requests;
    const change = hitRatio - this.#lastHitRatio;
    this.#lastHitRatio = hitRatio;
    this.#hits = 0;
    this.#misses = 0;
    if (Number.isNaN(change)) return;
    const amount = change >= 0 ? this.#step : -this.#step;
    this.#step =
      Math.abs(change) >= RESTART_CHANGE ? STEP_SHARE * (amount >= 0 ? 1 : -1) : STEP_DECAY * amount;
    this.#moveWindow(amount);
  }

  #moveWindow(amount: number): void {
    const entries = Math.max(1, this.#capacity.full);
    const wanted = Math.trunc(amount * entries) / entries;
    const least = Math.max(LEAST_WINDOW_SHARE, 1 / entries);
    const moved =
      wanted > 0
        ? Math.min(wanted, this.#protectedShare)
        : Math.max(wanted, Math.min(0, least - this.#windowShare));
    this.#windowShare += moved;
    this.#protectedShare -= moved;
    this.#demoteProtected();
    if (moved > 0) this.#fillWindow();
  }

  /** A window that grew takes the entries next in line to leave. */
  #fillWindow(): void {
    const bound = this.#bound(this.#windowShare);
    for (;;) {
      const from = this.#probation.oldest === NONE ? this.#protected : this.#probation;
      const slot = from.oldest;
      if (slot === NONE || this.#capacity.taken(this.#window) >= bound) return;
      from.remove(slot);
      this.#window.push(slot);
    }
  }

  #demoteProtected(): void {
    const bound = this.#bound(this.#protectedShare);
    while (this.#capacity.taken(this.#protected) > bound) {
      const slot = this.#protected.oldest;
      if (slot === NONE) return;
      this.#protected.remove(slot);
      this.#probation.push(slot);
    }
  }

  #bound(share: number): number {
    return Math.max(share > 0 ? 1 : 0, Math.round(share * this.#capacity.full));
  }

  #listOf(slot: number): SlotList {
    const label = this.#links.label[slot];
    if (label === WINDOW) return this.#window;
    return label === PROTECTED ? this.#protected : this.#probation;
  }
}
