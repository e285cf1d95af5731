import type { PartResult } from './changes.ts';

/** What a confirmed change is answered with; the fields are the contract's. */
export interface Confirmation {
  readonly agentsLive: number;
  readonly agentsApplied: number;
  readonly agentsFenced: number;
  readonly elapsedMs: number;
}

export interface ConfirmationsOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly maxStalenessMs: number;
  /** Told of agents that have been silent for long, so that they can be struck off. */
  readonly silent: (partition: number, agentId: string, renewals: number) => void;
}

/** Acknowledgements of one event, which may come before its sender knows whom to wait for. */
interface Waiter {
  readonly acks: Set<string>;
  wake: () => void;
}

/** When an agent's count of renewals was first seen: without a new one its lease ends `maxStaleness` later. */
interface Sighting {
  readonly renewals: number;
  readonly seenAt: number;
}

const SILENT_MS = 60_000;

/**
 * Waits until every agent that was registered when an event was logged has applied it, or can no longer answer
 * from L1: an agent whose registration is not renewed has a lease that ends `maxStaleness` after the last renewal, and
 * an agent that renews it has received the event by then.
 */
export class Confirmations {
  readonly #options: ConfirmationsOptions;
  readonly #waiters = new Map<string, Waiter>();
  readonly #sightings = new Map<string, Sighting>();
  #longestStalenessMs: number;

  constructor(options: ConfirmationsOptions) {
    this.#options = options;
    this.#longestStalenessMs = options.maxStalenessMs;
  }

  /** The bound has changed: leases of up to this long may be held. */
  noteStaleness(maxStalenessMs: number): void {
    this.#longestStalenessMs = Math.max(this.#longestStalenessMs, maxStalenessMs);
  }

  /** To be called before the event is sent. The returned function forgets it. */
  expect(eventId: string): () => void {
    this.#waiters.set(eventId, { acks: new Set(), wake: () => undefined });
    return () => this.#waiters.delete(eventId);
  }

  /** An agent says that it has applied an event of a partition. */
  acknowledge(eventId: string, partition: number, agentId: string): void {
    const waiter = this.#waiters.get(eventId);
    if (waiter === undefined) return;
    waiter.acks.add(ackOf(partition, agentId));
    waiter.wake();
  }

  /**
   * Resolves when nobody can answer with what was there before.
   * @returns undefined where the timeout came first; the change stands all the same.
   */
  async wait(
    eventId: string,
    results: readonly PartResult[],
    timeoutMs: number,
  ): Promise<Confirmation | undefined> {
    const { now } = this.#options;
    const startedAt = now();
    const waiter = this.#waiters.get(eventId);
    if (waiter === undefined) throw new Error('wait without expect');
    const fences = this.#fencesOf(results, startedAt);
    for (;;) {
      const time = now();
      const open = [...fences].filter(([ack, fencedAt]) => !waiter.acks.has(ack) && fencedAt > time);
      if (open.length === 0) return this.#count(results, waiter, time - startedAt);
      if (time - startedAt >= timeoutMs) return undefined;
      const nextAt = Math.min(startedAt + timeoutMs, ...open.map(([, fencedAt]) => fencedAt));
      await wakeOrTimeout(waiter, nextAt - time);
    }
  }

  /** When each agent that matters can no longer answer, if it never acknowledges: acknowledgement → time. */
  #fencesOf(results: readonly PartResult[], at: number): Map<string, number> {
    const fences = new Map<string, number>();
    for (const { part, outcome, agents, logAgeMs } of results) {
      for (const [agentId, { renewals, maxStalenessMs }] of agents) {
        this.#longestStalenessMs = Math.max(this.#longestStalenessMs, maxStalenessMs);
        const seenAt = this.#sight(part.partition, agentId, renewals, at);
        fences.set(ackOf(part.partition, agentId), seenAt + maxStalenessMs);
      }
      // A log that has just come into being does not know yet who held entries of the one before it.
      const unknownFor = this.#longestStalenessMs - logAgeMs;
      if (unknownFor > 0 && outcome !== 'queued') fences.set(ackOf(part.partition, ''), at + unknownFor);
    }
    return fences;
  }

  #sight(partition: number, agentId: string, renewals: number, at: number): number {
    const name = ackOf(partition, agentId);
    const known = this.#sightings.get(name);
    if (known === undefined || known.renewals !== renewals) {
      this.#sightings.set(name, { renewals, seenAt: at });
      return at;
    }
    if (at - known.seenAt > SILENT_MS) this.#options.silent(partition, agentId, renewals);
    return known.seenAt;
  }

  #count(results: readonly PartResult[], waiter: Waiter, elapsedMs: number): Confirmation {
    const live = new Set<string>();
    const fenced = new Set<string>();
    for (const { part, agents } of results) {
      for (const agentId of agents.keys()) {
        live.add(agentId);
        if (!waiter.acks.has(ackOf(part.partition, agentId))) fenced.add(agentId);
      }
    }
    return {
      agentsLive: live.size,
      agentsApplied: live.size - fenced.size,
      agentsFenced: fenced.size,
      elapsedMs: Math.ceil(elapsedMs),
    };
  }
}

function ackOf(partition: number, agentId: string): string {
  return `${partition}:${agentId}`;
}

function wakeOrTimeout(waiter: Waiter, ms: number): Promise<void> {
  return new Promise((resolve) => {
    // Rounded up, or the timer may fire a fraction before the fence and find it still open.
    const timer = setTimeout(resolve, Math.ceil(ms));
    waiter.wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}
