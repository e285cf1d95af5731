/** No further request. */
const NEVER = 0x7fffffff;

/**
 * The hits of a cache that knows the future: Belady's policy with bypass. It keeps what is asked for again
 * soonest, and does not take in what would be the next to leave.
 * @param requests the trace, each key as a number from 0
 */
export function optimalHits(requests: Int32Array, keys: number, size: number): number {
  const nextUse = nextUses(requests, keys);
  const isCached = new Uint8Array(keys);
  const farthest = new MaxHeap();
  let cached = 0;
  let hits = 0;
  for (let at = 0; at < requests.length; at++) {
    const key = requests[at] ?? 0;
    const next = nextUse[at] ?? NEVER;
    if (isCached[key] === 1) {
      hits += 1;
      isCached[key] = 0;
      cached -= 1;
    }
    if (next === NEVER) continue;
    if (cached >= size) {
      // A position yet to come in the heap is always that of a cached key: keys leave with theirs.
      if (farthest.top <= next) continue;
      isCached[requests[farthest.pop()] ?? 0] = 0;
      cached -= 1;
    }
    farthest.push(next);
    isCached[key] = 1;
    cached += 1;
  }
  return hits;
}

/** For each request the position of the next one for the same key. */
function nextUses(requests: Int32Array, keys: number): Int32Array {
  const following = new Int32Array(keys).fill(NEVER);
  const nextUse = new Int32Array(requests.length);
  for (let at = requests.length - 1; at >= 0; at--) {
    const key = requests[at] ?? 0;
    nextUse[at] = following[key] ?? NEVER;
    following[key] = at;
  }
  return nextUse;
}

/** A binary heap of positions, the greatest on top. */
class MaxHeap {
  readonly #items: number[] = [];

  get top(): number {
    return this.#items[0] ?? -1;
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent] ?? 0;
      if (above >= item) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number {
    const items = this.#items;
    const top = this.top;
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if ((items[child + 1] ?? -1) > (items[child] ?? -1)) child += 1;
      const below = items[child];
      if (below === undefined || below <= last) break;
      items[at] = below;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
