import type { Verdict } from './judge.ts';
import type { MigrationSettings } from './settings.ts';

/** Which cache an answer came from. */
export type Judged = 'existing' | 'edge';

/** Upper ends of the age histogram, in milliseconds; beyond the last is everything else. */
export const AGE_BOUNDS_MS = [
  100, 1_000, 5_000, 15_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
] as const;

/** What became of the answers of one cache that were compared with the source of truth. */
export interface JudgedReport {
  /** Those with a verdict: agreed, stale, in flight and ahead. */
  readonly compared: number;
  readonly agreed: number;
  readonly stale: number;
  /** Did not agree at first, and did, or were gone, after the grace. Not stale. */
  readonly inFlight: number;
  /** Newer than the source, which may be a replica that lags. Not stale. */
  readonly ahead: number;
  /** The source changed at every try. */
  readonly moving: number;
  /** Comparisons that failed. */
  readonly errors: number;
  /** Not compared, because too many comparisons were under way. */
  readonly dropped: number;
  /** Share of the compared that were stale; undefined while nothing was compared. */
  readonly staleShare: number | undefined;
  /** Where the share of all answers is, with 95 % confidence (Wilson). */
  readonly staleBetween: readonly [number, number];
  /** Ages of stale answers, at least; each bound counts those up to it and above the one before. The last has no bound. */
  readonly ages: readonly { readonly upToMs: number; readonly count: number }[];
  /** What the last failed comparison said. */
  readonly lastError: string;
}

export interface NamespaceReport extends MigrationSettings {
  readonly namespace: string;
  /** Reads of the application, by who answered them. */
  readonly reads: {
    readonly existingHits: number;
    readonly existingMisses: number;
    readonly edge: number;
    /** Meant for Edge Cache, and answered by the existing cache or the source, because Edge Cache could not. */
    readonly fallbacks: number;
    /** Why the last of these did. */
    readonly lastFallback: string;
  };
  readonly existing: JudgedReport;
  readonly edge: JudgedReport;
  /** Keys and tags that Edge Cache was told of. */
  readonly changes: {
    readonly sent: number;
    readonly failed: number;
    /** In phase `publish`: too many were waiting. */
    readonly dropped: number;
    readonly waiting: number;
    readonly lastError: string;
  };
  /** Failures of the existing cache that nobody was told of: fills, and deletes in phase `alone`. */
  readonly existingErrors: number;
}

/** Counts the verdicts on one cache. */
export class JudgedTally {
  readonly #kinds = { agreed: 0, stale: 0, inFlight: 0, ahead: 0, moving: 0 };
  readonly #ages = Array.from({ length: AGE_BOUNDS_MS.length + 1 }, () => 0);
  #errors = 0;
  #dropped = 0;
  #lastError = '';

  count(verdict: Verdict): void {
    this.#kinds[verdict.kind] += 1;
    if (verdict.kind !== 'stale') return;
    const found = AGE_BOUNDS_MS.findIndex((bound) => verdict.ageMs <= bound);
    const place = found === -1 ? AGE_BOUNDS_MS.length : found;
    this.#ages[place] = (this.#ages[place] ?? 0) + 1;
  }

  fail(error: unknown): void {
    this.#errors += 1;
    this.#lastError = messageOf(error);
  }

  drop(): void {
    this.#dropped += 1;
  }

  report(): JudgedReport {
    const { agreed, stale, inFlight, ahead } = this.#kinds;
    const compared = agreed + stale + inFlight + ahead;
    return {
      ...this.#kinds,
      compared,
      errors: this.#errors,
      dropped: this.#dropped,
      staleShare: compared === 0 ? undefined : stale / compared,
      staleBetween: wilson(stale, compared),
      ages: this.#ages.map((count, i) => ({ upToMs: AGE_BOUNDS_MS[i] ?? Number.POSITIVE_INFINITY, count })),
      lastError: this.#lastError,
    };
  }
}

const Z_95 = 1.959964;

/** Wilson's interval of a share: right for small numbers too, and for none of many. */
export function wilson(count: number, of: number): readonly [number, number] {
  if (of === 0) return [0, 1];
  const share = count / of;
  const zz = (Z_95 * Z_95) / of;
  const middle = share + zz / 2;
  const width = Z_95 * Math.sqrt((share * (1 - share)) / of + zz / (4 * of));
  return [Math.max(0, (middle - width) / (1 + zz)), Math.min(1, (middle + width) / (1 + zz))];
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
