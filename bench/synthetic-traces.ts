/** A request trace that is made up: keys as whole numbers, the same ones for the same seed. */
export interface SyntheticTrace {
  readonly name: string;
  readonly requests: number;
  keys(): Iterable<number>;
}

/** Random numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws ranks from 0, rank r with a weight of 1 / (r + 1)^exponent. */
export function zipfRanks(keys: number, exponent: number, random: () => number): () => number {
  const cumulated = new Float64Array(keys);
  let sum = 0;
  for (let rank = 0; rank < keys; rank++) {
    sum += (rank + 1) ** -exponent;
    cumulated[rank] = sum;
  }
  return () => {
    const wanted = random() * sum;
    let low = 0;
    let high = keys - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((cumulated[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Where made-up keys of one kind begin, so that kinds that are mixed never meet. */
const KIND = 100_000_000;

/** A source of keys, one for each call. */
export type Source = () => number;

export function zipf(keys: number, exponent: number, random: () => number): Source {
  return zipfRanks(keys, exponent, random);
}

/** Zipf whose ranks move to other keys by `step` every `every` requests. */
export function shifting(
  keys: number,
  exponent: number,
  every: number,
  step: number,
  random: () => number,
): Source {
  const rank = zipfRanks(keys, exponent, random);
  let requests = 0;
  let offset = 0;
  return () => {
    requests += 1;
    if (requests % every === 0) offset += step;
    return (rank() + offset) % (4 * keys);
  };
}

/** The same keys in the same order, again and again. */
export function loop(keys: number): Source {
  let next = 0;
  return () => KIND + (next++ % keys);
}

/** Keys that never come again. */
export function scan(): Source {
  let next = 2 * KIND;
  return () => next++;
}

/** Asks again for what was asked for a while ago, a short while most often; and for something new now and then. */
export function recency(newShare: number, reach: number, random: () => number): Source {
  const history: number[] = [];
  let next = 3 * KIND;
  return () => {
    // Log-uniform distances: each doubling of the distance is as likely as the one before.
    const distance = Math.floor(Math.exp(random() * Math.log(reach)));
    const again = history[history.length - distance];
    const key = again === undefined || random() < newShare ? next++ : again;
    history.push(key);
    if (history.length > 4 * reach) history.splice(0, history.length - reach);
    return key;
  };
}

/** Objects used a few times within a short while and never again, many of them at a time, as in transactions. */
export function bursts(open: number, uses: number, random: () => number): Source {
  let next = 4 * KIND;
  const fresh = () => ({ key: next++, left: 1 + Math.floor(random() * 2 * uses) });
  const objects = Array.from({ length: open }, fresh);
  return () => {
    const i = Math.floor(random() * open);
    const object = objects[i] ?? fresh();
    object.left -= 1;
    if (object.left === 0) objects[i] = fresh();
    return object.key;
  };
}

/** Objects that are born popular and are forgotten over a lifetime, like news: the younger, the more asked for. */
export function news(every: number, exponent: number, reach: number, random: () => number): Source {
  const age = zipfRanks(reach, exponent, random);
  let requests = 0;
  return () => {
    requests += 1;
    return 5 * KIND + reach + Math.floor(requests / every) - age();
  };
}

/** Uniform over so many keys. */
export function uniform(keys: number, random: () => number): Source {
  return () => 6 * KIND + Math.floor(random() * keys);
}

/** Requests from several sources, each with its share. */
export function mix(
  parts: readonly (readonly [share: number, source: Source])[],
  random: () => number,
): Source {
  return () => {
    let left = random();
    for (const [share, source] of parts) {
      left -= share;
      if (left < 0) return source();
    }
    return (parts.at(-1)?.[1] ?? (() => 0))();
  };
}

/** One source after the other, so many requests each, again and again. */
export function phases(length: number, sources: readonly Source[]): Source {
  let requests = 0;
  return () => (sources[Math.floor(requests++ / length) % sources.length] ?? (() => 0))();
}

/** Runs of another source's keys in one piece, as a batch job makes them, between the first one's. */
export function batches(base: Source, batch: Source, every: number, length: number): Source {
  let requests = 0;
  return () => (requests++ % (every + length) < every ? base() : batch());
}

export function trace(
  name: string,
  requests: number,
  build: (random: () => number) => Source,
): SyntheticTrace {
  return {
    name,
    requests,
    *keys() {
      const source = build(randomFrom(requests + name.length * 7919));
      for (let i = 0; i < requests; i++) yield source();
    },
  };
}

/** What the default policy is judged by, beside the two real traces: many kinds of workload, short and long. */
export const SYNTHETIC_TRACES: readonly SyntheticTrace[] = [
  trace('zipf-0.6-200k', 1_000_000, (r) => zipf(200_000, 0.6, r)),
  trace('zipf-0.8-100k', 500_000, (r) => zipf(100_000, 0.8, r)),
  trace('zipf-0.9-50k', 76_000, (r) => zipf(50_000, 0.9, r)),
  trace('zipf-1.0-100k', 1_000_000, (r) => zipf(100_000, 1, r)),
  trace('zipf-1.2-1m', 2_000_000, (r) => zipf(1_000_000, 1.2, r)),
  trace('uniform-10k', 200_000, (r) => uniform(10_000, r)),
  trace('scan-mix-30', 500_000, (r) =>
    mix(
      [
        [0.7, zipf(50_000, 0.9, r)],
        [0.3, scan()],
      ],
      r,
    ),
  ),
  trace('scan-bursts', 500_000, (r) => batches(zipf(50_000, 0.9, r), scan(), 20_000, 10_000)),
  trace('scan-bursts-short', 60_000, (r) => batches(zipf(20_000, 0.9, r), scan(), 5_000, 3_000)),
  trace('loop-3k', 200_000, () => loop(3_000)),
  trace('loop-8k', 500_000, () => loop(8_000)),
  trace('loop-mix', 500_000, (r) =>
    mix(
      [
        [0.5, zipf(50_000, 0.9, r)],
        [0.5, loop(6_000)],
      ],
      r,
    ),
  ),
  trace('loops-three', 300_000, (r) =>
    mix(
      [
        [0.5, loop(700)],
        [0.3, zipf(9_000, 0.7, r)],
        [0.2, recency(0.2, 4_000, r)],
      ],
      r,
    ),
  ),
  trace('shift-sudden', 1_000_000, (r) => shifting(50_000, 0.9, 100_000, 25_000, r)),
  trace('shift-fast', 500_000, (r) => shifting(20_000, 1, 20_000, 7_000, r)),
  trace('shift-drift', 1_000_000, (r) => shifting(50_000, 0.9, 50, 1, r)),
  trace('shift-drift-fast', 500_000, (r) => shifting(20_000, 1, 10, 1, r)),
  trace('recency-10k', 500_000, (r) => recency(0.1, 10_000, r)),
  trace('recency-50k', 1_000_000, (r) => recency(0.05, 50_000, r)),
  trace('recency-short', 76_000, (r) => recency(0.2, 5_000, r)),
  trace('bursts-1k', 500_000, (r) => bursts(1_000, 4, r)),
  trace('bursts-3k-zipf', 1_000_000, (r) =>
    mix(
      [
        [0.6, bursts(3_000, 5, r)],
        [0.4, zipf(20_000, 0.9, r)],
      ],
      r,
    ),
  ),
  trace('bursts-300', 200_000, (r) =>
    mix(
      [
        [0.8, bursts(300, 3, r)],
        [0.2, zipf(50_000, 0.8, r)],
      ],
      r,
    ),
  ),
  trace('news', 1_000_000, (r) => news(40, 0.8, 40_000, r)),
  trace('news-short', 76_000, (r) => news(10, 0.9, 10_000, r)),
  trace('database', 1_000_000, (r) =>
    batches(
      mix(
        [
          [0.5, bursts(800, 6, r)],
          [0.3, zipf(30_000, 1, r)],
          [0.2, recency(0.1, 20_000, r)],
        ],
        r,
      ),
      loop(15_000),
      60_000,
      15_000,
    ),
  ),
  trace('database-short', 100_000, (r) =>
    batches(
      mix(
        [
          [0.4, bursts(400, 4, r)],
          [0.4, zipf(10_000, 0.9, r)],
          [0.2, recency(0.1, 5_000, r)],
        ],
        r,
      ),
      scan(),
      8_000,
      2_000,
    ),
  ),
  trace('nested-loops', 400_000, (r) =>
    mix(
      [
        [0.4, loop(400)],
        [0.3, loop(2_500)],
        [0.3, bursts(200, 2, r)],
      ],
      r,
    ),
  ),
  trace('phases', 1_500_000, (r) =>
    phases(150_000, [zipf(50_000, 0.9, r), recency(0.1, 10_000, r), loop(7_000), bursts(1_500, 4, r)]),
  ),
  trace('phases-short', 400_000, (r) =>
    phases(40_000, [bursts(1_000, 4, r), loop(4_000), shifting(20_000, 0.9, 5_000, 300, r)]),
  ),
];
