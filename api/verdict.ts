import { compareVersions } from './version.ts';

/** What an agent said of one key: what its memory holds, and what Redis answered right after it was looked at. */
export interface KeyExplanation {
  readonly memory?:
    | {
        readonly version: string;
        readonly tags: readonly string[];
        readonly unansweredBecause: string;
      }
    | undefined;
  readonly freshness?:
    | { readonly leaseMs: number; readonly maxStalenessMs: number; readonly current: boolean }
    | undefined;
  readonly redis?:
    | {
        readonly clockUs: number;
        readonly askedMs: number;
        readonly stored?: { readonly version: string } | undefined;
        readonly markers: readonly { readonly tag: string; readonly version: string }[];
      }
    | undefined;
}

/** An event of the partition's log that concerned the key. */
export interface KeyEvent {
  readonly version: string;
  readonly effect: string;
  readonly loggedAtUs: number;
}

/**
 * `empty`: memory holds nothing. `current`: nothing has changed what it holds. `silent`: old, but not answered.
 * `behind`: old, and within the bound. `stale`: old, answered, and beyond the bound, which must not be.
 * `by-ttl`: old, in an agent that follows no events. `unknown`: Redis did not answer, so nobody can tell.
 */
export type VerdictKind = 'empty' | 'current' | 'silent' | 'behind' | 'stale' | 'by-ttl' | 'unknown';

export interface Verdict {
  readonly kind: VerdictKind;
  /** Changes that memory has not seen. */
  readonly behind: number;
  /** How long the oldest of them had been logged when memory was looked at, at least. */
  readonly sinceMs: number;
  /** For people. */
  readonly text: string;
}

/**
 * Judges what one agent holds of a key.
 * @param events that concerned the key, from the partition's log, read after the agent was asked; any order
 */
export function judgeKey({ memory, freshness, redis }: KeyExplanation, events: readonly KeyEvent[]): Verdict {
  const plain = (kind: VerdictKind, text: string): Verdict => ({ kind, behind: 0, sinceMs: 0, text });
  if (memory === undefined) return plain('empty', 'holds nothing: asks Redis');
  const unanswered = memory.unansweredBecause;
  if (redis === undefined) {
    return unanswered === ''
      ? plain(
          'unknown',
          `answers by its lease for ${freshness?.leaseMs ?? 0} ms more; Redis is out of its reach`,
        )
      : plain('silent', `does not answer with it (${unanswered}); Redis is out of its reach`);
  }
  const lookedAtMs = redis.clockUs / 1000 - redis.askedMs;
  const missed = [...changesSince(memory, redis, events).values()].filter((at) => at <= redis.clockUs / 1000);
  if (missed.length === 0)
    return plain('current', unanswered === '' ? 'current' : `current, but not answered: ${unanswered}`);
  const sinceMs = Math.max(0, lookedAtMs - Math.min(...missed));
  const said = { behind: missed.length, sinceMs };
  const behind = `behind by ${missed.length}, for ${Math.round(sinceMs)} ms`;
  if (unanswered !== '')
    return { ...said, kind: 'silent', text: `${behind}, but does not answer with it: ${unanswered}` };
  const { leaseMs = 0, maxStalenessMs = 0, current = false } = freshness ?? {};
  if (!current && leaseMs === 0)
    return {
      ...said,
      kind: 'by-ttl',
      text: `${behind}; it follows no events, and holds it until its TTL is over`,
    };
  if (sinceMs > maxStalenessMs)
    return { ...said, kind: 'stale', text: `STALE: ${behind}, beyond the bound of ${maxStalenessMs} ms` };
  return {
    ...said,
    kind: 'behind',
    text: `${behind}; its lease ends in ${leaseMs} ms: within the bound of ${maxStalenessMs} ms`,
  };
}

/** Milliseconds, by Redis' clock, at which each change newer than what memory holds was logged, by its version. */
function changesSince(
  { version, tags }: NonNullable<KeyExplanation['memory']>,
  { markers, stored }: NonNullable<KeyExplanation['redis']>,
  events: readonly KeyEvent[],
): Map<string, number> {
  const changes = new Map<string, number>();
  const note = (newer: string, atMs: number) => {
    if (compareVersions(newer, version) > 0) changes.set(newer, atMs);
  };
  // The log may no longer reach back: markers and the entry itself are events too, and say when by their versions.
  for (const marker of markers)
    if (marker.tag === '' || tags.includes(marker.tag)) note(marker.version, msOf(marker.version));
  // A fill has the version of whatever happened before it, to whichever key: it says nothing of this one.
  if (stored !== undefined && stored.version !== '' && !stored.version.includes('.'))
    note(stored.version, msOf(stored.version));
  for (const event of events) if (event.effect !== 'maybe_tag') note(event.version, event.loggedAtUs / 1000);
  return changes;
}

function msOf(version: string): number {
  return Number(version.slice(0, version.indexOf('-')));
}

/** One verdict for all who hold the same cache: the worst of them. */
export function worstOf(verdicts: readonly VerdictKind[]): VerdictKind {
  const order: readonly VerdictKind[] = [
    'stale',
    'unknown',
    'behind',
    'by-ttl',
    'silent',
    'current',
    'empty',
  ];
  return order.find((kind) => verdicts.includes(kind)) ?? 'empty';
}
