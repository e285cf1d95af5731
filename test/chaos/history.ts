import { compareVersions } from '../../agent/l2/version.ts';

/** A change that was answered. Times are monotonic milliseconds of the checker's process. */
export interface AckedChange {
  readonly key: string;
  readonly version: string;
  readonly beganAt: number;
  readonly ackedAt: number;
  readonly confirmed: boolean;
}

/** A lookup that was answered with a value. */
export interface AnsweredRead {
  readonly agent: string;
  readonly key: string;
  readonly version: string;
  readonly beganAt: number;
  readonly endedAt: number;
  /** The caller went to the source of truth itself, which is ahead of every cache. */
  readonly loaded?: boolean;
}

export interface Violation {
  readonly rule: 'staleness' | 'confirmed' | 'monotonic';
  readonly text: string;
}

interface KeyHistory {
  readonly changes: AckedChange[];
  /** Per agent: the newest version that a read which has ended was answered with. */
  readonly seen: Map<string, { version: string; endedAt: number }[]>;
}

/** Changes kept per key: enough for the longest bound in force. */
const KEPT_MS = 30_000;

/**
 * Judges reads as they are answered. Rules, by the versions that Redis gave:
 *
 * - staleness: no read is answered with a version that an acknowledged change had replaced longer than the bound before
 *   the read began;
 * - confirmed: none is answered with a version older than a confirmed change that had returned before it began;
 * - monotonic: per key and agent, a read that begins after another has ended is not answered with an older version.
 */
export class History {
  readonly violations: Violation[] = [];
  reads = 0;
  changes = 0;
  readonly #boundMs: number;
  #voidBefore = 0;
  readonly #keys = new Map<string, KeyHistory>();

  constructor(boundMs: number) {
    this.#boundMs = boundMs;
  }

  changed(change: AckedChange): void {
    if (change.beganAt < this.#voidBefore) return;
    this.changes += 1;
    const history = this.#of(change.key);
    history.changes.push(change);
    while ((history.changes[0]?.ackedAt ?? change.ackedAt) < change.ackedAt - KEPT_MS)
      history.changes.shift();
  }

  read(read: AnsweredRead): void {
    this.reads += 1;
    if (read.beganAt < this.#voidBefore) return;
    const history = this.#of(read.key);
    for (const change of history.changes) {
      if (compareVersions(read.version, change.version) >= 0) continue;
      const ageMs = read.beganAt - change.ackedAt;
      if (change.confirmed && ageMs > 0)
        this.#violate('confirmed', read, `${change.version} was confirmed ${ageMs.toFixed(1)} ms before`);
      else if (ageMs > this.#boundMs)
        this.#violate('staleness', read, `${change.version} had replaced it ${ageMs.toFixed(1)} ms before`);
    }
    if (read.loaded !== true) this.#checkMonotonic(history, read);
  }

  /** Everything that began before a time is void: Redis came back without it. */
  forget(now: number): void {
    this.#voidBefore = now;
    this.#keys.clear();
  }

  /** Version of the last acknowledged change of each key. */
  lastChanges(): Map<string, AckedChange> {
    const last = new Map<string, AckedChange>();
    for (const [key, { changes }] of this.#keys) {
      for (const change of changes) {
        const known = last.get(key);
        if (known === undefined || compareVersions(change.version, known.version) > 0) last.set(key, change);
      }
    }
    return last;
  }

  #checkMonotonic(history: KeyHistory, read: AnsweredRead): void {
    let seen = history.seen.get(read.agent);
    if (seen === undefined) {
      seen = [];
      history.seen.set(read.agent, seen);
    }
    for (const earlier of seen) {
      if (earlier.endedAt <= read.beganAt && compareVersions(read.version, earlier.version) < 0) {
        this.#violate('monotonic', read, `the agent had answered ${earlier.version} before`);
        break;
      }
    }
    // Only maxima matter: an entry that is older and later than another can never accuse where that one does not.
    const kept = seen.filter(
      (each) => compareVersions(each.version, read.version) > 0 || each.endedAt < read.endedAt,
    );
    kept.push({ version: read.version, endedAt: read.endedAt });
    history.seen.set(read.agent, kept.slice(-8));
  }

  #violate(rule: Violation['rule'], { agent, key, version }: AnsweredRead, why: string): void {
    this.violations.push({ rule, text: `${rule}: ${agent} answered ${key} with ${version}; ${why}` });
  }

  #of(key: string): KeyHistory {
    let history = this.#keys.get(key);
    if (history === undefined) {
      history = { changes: [], seen: new Map() };
      this.#keys.set(key, history);
    }
    return history;
  }
}
