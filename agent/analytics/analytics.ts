import { hashKey, mix } from '../cache/policy/key-hash.ts';
import { Churn } from './churn.ts';
import { Departures, type MissCause } from './departures.ts';
import { HotKeys } from './hot-keys.ts';
import { LargestKeys } from './largest-keys.ts';
import { SizeCurve } from './size-curve.ts';

/** What was read of a namespace. */
export class NamespaceReads {
  readonly name: string;
  /** Tells the keys of namespaces apart where only hashes are kept. */
  readonly salt: number;
  /** Answered, from memory or Redis. */
  hits = 0;
  /** Of the hits, those that Redis answered. */
  l2Hits = 0;
  misses = 0;
  /** Of the misses, those that were given what had expired, while somebody else loads. */
  expiredGiven = 0;
  /** Answers marked stale because Redis was out of reach. */
  staleGiven = 0;
  degraded = 0;
  /** Lookups that memory did not answer, by why. */
  readonly causes = new Map<MissCause, number>();

  constructor(name: string) {
    this.name = name;
    this.salt = mix(hashKey(name));
  }
}

export interface AnalyticsOptions {
  /** Entries that memory may hold. */
  readonly entries: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** From 0 up to, and without, 1. */
  readonly random: () => number;
}

/** Hot keys that an agent tells apart: as many as its region may preload from it. */
const HOT_KEYS = 1_024;
const LARGE_KEYS = 32;

/** Why lookups end as they do, and what would change it. Counts only: nothing here decides what is answered. */
export class Analytics {
  readonly hot: HotKeys;
  readonly largest = new LargestKeys(LARGE_KEYS);
  readonly churn = new Churn();
  readonly curve: SizeCurve;
  readonly byNamespace = new Map<string, NamespaceReads>();
  readonly #departures: Departures;

  constructor({ entries, now, random }: AnalyticsOptions) {
    this.hot = new HotKeys({ capacity: HOT_KEYS, now, random });
    this.curve = new SizeCurve(entries);
    this.#departures = new Departures(entries);
  }

  /** @param entries that memory may hold from now on */
  resize(entries: number): void {
    this.#departures.resize(entries);
    this.curve.resize(entries);
  }

  reads(namespace: string): NamespaceReads {
    let reads = this.byNamespace.get(namespace);
    if (reads === undefined) {
      reads = new NamespaceReads(namespace);
      this.byNamespace.set(namespace, reads);
    }
    return reads;
  }

  /** Memory answered. */
  hit(reads: NamespaceReads, key: string): void {
    this.hot.note(reads.name, key);
    this.curve.request(hashOf(reads, key), false);
  }

  /** Memory did not answer. @param cause undefined: it holds nothing, and why is to be found out. */
  missed(reads: NamespaceReads, key: string, cause?: MissCause): void {
    this.hot.note(reads.name, key);
    const hash = hashOf(reads, key);
    const why = cause ?? this.#departures.causeOf(hash);
    reads.causes.set(why, (reads.causes.get(why) ?? 0) + 1);
    this.curve.request(hash, why !== 'cold' && why !== 'evicted');
  }

  /** An entry left memory. */
  left(namespace: string, key: string, cause: MissCause): void {
    this.#departures.note(hashOf(this.reads(namespace), key), cause);
  }
}

function hashOf({ salt }: NamespaceReads, key: string): number {
  return mix(hashKey(key) ^ salt);
}
