import type { LoggedEvent } from '../../api/event.ts';
import type { Head } from '../l2/l2.ts';
import { compareVersions, NO_VERSION } from '../l2/version.ts';

/** What to do with an event or a head that was seen. */
export type Verdict = 'next' | 'duplicate' | 'gap' | 'rewritten';

/** Event ids remembered to tell a repeated message from a log that was rewritten. */
const REMEMBERED = 1024;

/** Agents find a new master within a second of one another, and send what they have queued at once. */
const SETTLE_MS = 2_000;
/** A third of the bound, at most: the rest is for noticing it, and for sending what was queued. */
const OUTAGE_MS = 300;

/**
 * An agent's place in the log of one partition. Knows nothing of connections or caches: it judges, and keeps
 * what was received and applied, so that its rules can be tested alone.
 */
export class Partition {
  readonly index: number;
  /** Newest event received in order. */
  received = NO_VERSION;
  receivedEventId = '';
  /**
   * Newest event applied to L1, in whichever lane. An entry read from L2 at a head older than this may miss
   * what was applied, and may not enter L1 any more.
   */
  applied = NO_VERSION;
  /** Monotonic milliseconds until which the agent has proof that it has missed nothing, for each lane. */
  freshCriticalUntil = 0;
  freshBulkUntil = 0;
  /** Whether the place in the log is known and no gap is open. */
  current = false;
  /**
   * Monotonic milliseconds until which, after its master was out of reach, agents send what they had queued: what L2
   * says of the partition may be older than changes that were accepted meanwhile.
   */
  settlingUntil = 0;
  #wasReached = false;
  #failingSince: number | undefined;
  /** Counts fences and resets, so that a proof begun before one is not taken for a proof after it. */
  generation = 0;
  readonly #recent = new Set<string>();

  constructor(index: number) {
    this.index = index;
  }

  /** Judges an event by its links; a `next` event is received with it. */
  judge(event: LoggedEvent): Verdict {
    if (event.prev === this.received && event.prev_event_id === this.receivedEventId) {
      this.#receive(event.version, event.event_id);
      return 'next';
    }
    if (compareVersions(event.version, this.received) > 0) return 'gap';
    // An id that was passed by an event that was not seen: a failover lost events and the numbers were given anew.
    return this.#recent.has(event.event_id) ? 'duplicate' : 'rewritten';
  }

  /**
   * Judges a head read from Redis against what had been received when the read was sent: the log may
   * have grown since, but may not have shrunk.
   */
  judgeHead(head: Head, receivedWhenAsked: string): Verdict {
    const order = compareVersions(head.version, this.received);
    if (order > 0) return 'gap';
    if (order === 0) return head.eventId === this.receivedEventId ? 'next' : 'rewritten';
    const grewMeanwhile =
      compareVersions(head.version, receivedWhenAsked) >= 0 && this.#recent.has(head.eventId);
    return grewMeanwhile ? 'next' : 'rewritten';
  }

  /** Starts anew at a head: whatever was before is not known and must not be in L1. */
  resetTo(head: Head): void {
    this.#recent.clear();
    this.#receive(head.version, head.eventId);
    this.applied = head.version;
    this.current = true;
  }

  /** Stops trusting what is held until a reset or repair. */
  fence(): void {
    this.current = false;
    this.generation += 1;
    this.freshCriticalUntil = 0;
    this.freshBulkUntil = 0;
  }

  /** The bound was lowered: what has been proven counts for so much less, and proofs under way not at all. */
  shortenLease(ms: number): void {
    this.generation += 1;
    this.freshCriticalUntil -= ms;
    this.freshBulkUntil -= ms;
  }

  /** The partition's master did not answer. */
  noteUnreachable(now: number): void {
    // Before it was first reached there is nothing to doubt.
    if (this.#wasReached) this.#failingSince ??= now;
  }

  /**
   * It answered.
   * @param maxStalenessMs the bound: a shorter outage can hide only changes that are within it
   * @returns whether it had not answered the last time
   */
  noteReachable(now: number, maxStalenessMs: number): boolean {
    this.#wasReached = true;
    if (this.#failingSince === undefined) return false;
    // One call that failed beside others that did not is no outage.
    if (now - this.#failingSince >= Math.min(OUTAGE_MS, maxStalenessMs / 3))
      this.settlingUntil = now + SETTLE_MS;
    this.#failingSince = undefined;
    return true;
  }

  noteApplied(version: string): void {
    if (compareVersions(version, this.applied) > 0) this.applied = version;
  }

  #receive(version: string, eventId: string): void {
    this.received = version;
    this.receivedEventId = eventId;
    this.#recent.add(eventId);
    if (this.#recent.size > REMEMBERED) {
      const oldest = this.#recent.values().next();
      if (!oldest.done) this.#recent.delete(oldest.value);
    }
  }
}
