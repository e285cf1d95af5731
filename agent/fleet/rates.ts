import { ratio } from '../stats.ts';

/** Counters of an agent since its start. */
export interface Counted {
  readonly l1Hits: number;
  readonly l1Misses: number;
  readonly l2Hits: number;
  readonly events: number;
}

/** What happened in a stretch of time. */
export interface Rates {
  readonly lookupsPerSecond: number;
  readonly eventsPerSecond: number;
  /** 0 where there were no lookups. */
  readonly l1HitRatio: number;
  readonly hitRatio: number;
}

export interface RatePoint extends Rates {
  /** Monotonic milliseconds. */
  readonly at: number;
}

interface Sample extends Counted {
  readonly at: number;
}

/** A quarter of an hour at one sample every five seconds. */
const MOST_SAMPLES = 181;
/** At the start an agent looks more often. */
const LEAST_APART_MS = 3_000;
const RECENT_MS = 60_000;

/** Counters as they were, every few seconds for a quarter of an hour: what happened of late, and how it went before. */
export class RateHistory {
  readonly #samples: Sample[] = [];

  add(at: number, { l1Hits, l1Misses, l2Hits, events }: Counted): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && at - last.at < LEAST_APART_MS) return;
    this.#samples.push({ at, l1Hits, l1Misses, l2Hits, events });
    if (this.#samples.length > MOST_SAMPLES) this.#samples.shift();
  }

  /** The last minute, or as much of it as there was. */
  recent(): Rates {
    const last = this.#samples.at(-1);
    const first = this.#samples.find(({ at }) => last !== undefined && last.at - at <= RECENT_MS);
    return last === undefined || first === undefined ? NOTHING : between(first, last);
  }

  /** One point for each pair of samples, oldest first. */
  points(): RatePoint[] {
    return this.#samples.slice(1).map((sample, i) => {
      const before = this.#samples[i] ?? sample;
      return { at: sample.at, ...between(before, sample) };
    });
  }
}

const NOTHING: Rates = { lookupsPerSecond: 0, eventsPerSecond: 0, l1HitRatio: 0, hitRatio: 0 };

function between(first: Sample, last: Sample): Rates {
  const seconds = (last.at - first.at) / 1000;
  if (seconds <= 0) return NOTHING;
  const l1Hits = last.l1Hits - first.l1Hits;
  const l1Misses = last.l1Misses - first.l1Misses;
  const l2Hits = last.l2Hits - first.l2Hits;
  const lookups = l1Hits + l1Misses;
  return {
    lookupsPerSecond: lookups / seconds,
    eventsPerSecond: (last.events - first.events) / seconds,
    l1HitRatio: ratio(l1Hits, l1Misses),
    // A read that was under way at the first sample is answered after it.
    hitRatio: lookups === 0 ? 0 : Math.min(1, (l1Hits + l2Hits) / lookups),
  };
}
