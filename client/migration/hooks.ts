import type { Verdict } from './judge.ts';
import type { Judged } from './tally.ts';

/** Told of what a migration sees, for metrics. What they throw is not heard. */
export interface MigrationHooks {
  /** An answer was compared with the source of truth. */
  readonly judged?: (namespace: string, of: Judged, verdict: Verdict) => void;
  readonly comparisonFailed?: (namespace: string, of: Judged, error: unknown) => void;
  /** A read that was meant for Edge Cache went to the existing cache. Without an error: Edge Cache had no complete view. */
  readonly fellBack?: (namespace: string, error: unknown) => void;
  /** Edge Cache could not be told of a change. */
  readonly changeFailed?: (namespace: string, error: unknown) => void;
  /** In phase `publish`: so many keys or tags were not told, because too many were waiting. */
  readonly changesDropped?: (namespace: string, count: number) => void;
}

/** A hook that throws must not be felt by whoever reads or writes. */
export function tell(hook: () => void): void {
  try {
    hook();
  } catch {
    // It is the application's own, and has its own ways of being heard.
  }
}
