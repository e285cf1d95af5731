import type { Namespace } from '../../api/namespace.ts';
import type { L2 } from '../l2/l2.ts';
import { compareVersions } from '../l2/version.ts';

export interface AuditOptions {
  readonly l2: L2;
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly maxStalenessMs: () => number;
  /** Told of each violation, for the log. */
  readonly violated: (violation: AuditViolation) => void;
}

export interface AuditViolation {
  readonly namespace: string;
  readonly key: string;
  /** What L1 had answered. */
  readonly version: string;
  readonly replacedBy: string;
  readonly windowMs: number;
}

interface Sample {
  readonly rules: Namespace;
  readonly key: string;
  readonly version: string;
  readonly partition: number;
  readonly answeredAt: number;
}

/** When a sampled answer is looked at again: a change in flight is no alarm, one that stays missed is. */
export const AUDIT_WINDOWS_MS = [100, 1_000, 10_000] as const;

/** One answer in so many, so that the cost stays small whatever the load. */
const SAMPLE_ONE_IN = 512;
/** Samples that wait at once; more are passed over. */
const MAX_WAITING = 256;

/**
 * The agent checks itself: it samples its own L1 answers and compares them, a little later, with L2. An answer is a violation if
 * the entry had been replaced, by the version that stands in L2, longer before the answer than the bound allows. What is true
 * when is told by the log's own times (the stream ids), in Redis' clock.
 *
 * It reads L2 past the cache, so nothing is warmed or evicted by it.
 */
export class Audit {
  reads = 0;
  readonly violations = new Map<number, number>(AUDIT_WINDOWS_MS.map((windowMs) => [windowMs, 0]));
  readonly #options: AuditOptions;
  #waiting = 0;
  #untilNext: number;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#untilNext = this.#gap();
  }

  /** To be called with every answer from L1; almost always it only counts down. */
  sample(rules: Namespace, key: string, version: string, partition: number): void {
    this.#untilNext -= 1;
    if (this.#untilNext > 0) return;
    this.#untilNext = this.#gap();
    if (!rules.critical || this.#waiting >= MAX_WAITING) return;
    this.#waiting += 1;
    const sample: Sample = { rules, key, version, partition, answeredAt: this.#options.now() };
    void this.#follow(sample).finally(() => {
      this.#waiting -= 1;
    });
  }

  get violationCount(): number {
    let sum = 0;
    for (const count of this.violations.values()) sum += count;
    return sum;
  }

  async #follow(sample: Sample): Promise<void> {
    for (const windowMs of AUDIT_WINDOWS_MS) {
      const wait = sample.answeredAt + windowMs - this.#options.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, wait)).unref());
      const stands = await this.#standing(sample);
      if (stands === undefined) return;
      this.reads += 1;
      if (await this.#wasStale(sample, stands)) {
        this.violations.set(windowMs, (this.violations.get(windowMs) ?? 0) + 1);
        const { rules, key, version } = sample;
        this.#options.violated({ namespace: rules.name, key, version, replacedBy: stands.version, windowMs });
        return;
      }
      // Replaced since: later looks could only find changes that are younger still.
      if (stands.version !== sample.version) return;
    }
  }

  /** The version in L2 and Redis' clock when it was read; nothing where Redis or the entry is gone. */
  async #standing({ rules, key, partition }: Sample): Promise<{ version: string } | undefined> {
    try {
      const [result] = await this.#options.l2.read(partition, [
        { namespace: rules.name, key, leaseToken: '' },
      ]);
      return result?.entry === undefined ? undefined : { version: result.entry.version };
    } catch {
      return undefined;
    }
  }

  /** Whether what stands had been written longer before the answer than the bound. */
  async #wasStale({ version, partition, answeredAt }: Sample, stands: { version: string }): Promise<boolean> {
    if (compareVersions(stands.version, version) <= 0) return false;
    // A fill carries the id of the event before it, which says nothing of when it was filled.
    if (stands.version.includes('.')) return false;
    const { l2, now, maxStalenessMs } = this.#options;
    try {
      const askedAt = now();
      const { clockUs } = await l2.head(partition);
      const writtenMs = Number(stands.version.slice(0, stands.version.indexOf('-')));
      // Redis' clock at the moment of the answer, at the earliest: the reply took at most the round trip.
      const answeredRedisMs = clockUs / 1000 - (now() - answeredAt) - (now() - askedAt);
      return answeredRedisMs - writtenMs > maxStalenessMs();
    } catch {
      return false;
    }
  }

  #gap(): number {
    return 1 + Math.floor(this.#options.random() * 2 * SAMPLE_ONE_IN);
  }
}
