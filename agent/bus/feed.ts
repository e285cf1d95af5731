import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { LoggedEvent } from '../../api/event.ts';
import { messageOf, RedisUnavailableError } from '../errors.ts';
import type { Head, L2 } from '../l2/l2.ts';
import { backoffMs, type RedisConnectionConfig } from '../redis/connections.ts';
import { type Placement, placePartitions } from '../redis/masters.ts';
import { decodeEvent, PoisonedMessageError } from './event-codec.ts';
import type { Lane } from './inbox.ts';
import { Partition } from './partition.ts';
import { RedisClock } from './redis-clock.ts';
import { Repairer } from './repairer.ts';
import { Subscriber } from './subscriber.ts';

/** What the feed tells the rest of the agent. */
export interface FeedHandlers {
  /** An event, in its partition's order, each once. */
  readonly event: (partition: Partition, event: LoggedEvent) => void;
  /** Completeness was lost for good: drop everything of the partition. */
  readonly reset: (partition: Partition) => void;
  /** An agent has applied a change of this agent's. */
  readonly acknowledged: (partition: number, text: string) => void;
  /** Calls back when all events told so far have been applied in a lane. */
  readonly afterApplied: (lane: Lane, passed: () => void) => void;
  /** How the master of a partition answered. */
  readonly reached: (partition: number, answered: boolean) => void;
}

export interface FeedCounters {
  received: number;
  duplicates: number;
  poisoned: number;
  gapsRepaired: number;
  resets: number;
  renewals: number;
  renewalFailures: number;
  /** Times that a partition's lease ran out or was taken away before it was renewed. */
  leasesLost: number;
  /** Event connections that ended, or gave reason to doubt them. */
  subscriptionsLost: number;
}

export interface FeedOptions {
  readonly config: RedisConnectionConfig & { readonly maxStalenessMs: number };
  readonly l2: L2;
  readonly commands: () => Redis | Cluster;
  readonly handlers: FeedHandlers;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
  /** Under which id this agent is registered with each partition. */
  readonly agentId: string;
}

/** How often the placement of partitions is looked at even though nothing seems to have changed. */
const PLACEMENT_CHECK_MS = 5_000;

/**
 * The agent's ear: subscriptions on every master, the order of events, and the freshness lease of each partition.
 *
 * A lease is renewed from the moment at which the log heads were asked for: Redis answered them later than that, the
 * answer to a PING on the subscriber connection came behind everything published before it, and everything up to
 * the heads had been received by then. So the agent has missed nothing that was published before it asked.
 */
export class Feed {
  readonly partitions: readonly Partition[];
  readonly counters: FeedCounters = {
    received: 0,
    duplicates: 0,
    poisoned: 0,
    gapsRepaired: 0,
    resets: 0,
    renewals: 0,
    renewalFailures: 0,
    leasesLost: 0,
    subscriptionsLost: 0,
  };
  readonly clock: RedisClock;
  readonly #options: FeedOptions;
  readonly #repairer: Repairer;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #stop = new AbortController();
  #lastEventAt: number | undefined;
  #placing = false;
  #placeAgain = false;
  #placementTimer: NodeJS.Timeout | undefined;
  #placementFailures = 0;
  #maxStalenessMs: number;
  /** The bound before it was lowered, while leases of near caches may still be by it. */
  #handedDown = { ms: 0, until: 0 };
  #renewTimer: NodeJS.Timeout | undefined;
  /** Partitions with a lease at the last look. */
  readonly #holders = new Set<Partition>();

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#maxStalenessMs = options.config.maxStalenessMs;
    this.partitions = Array.from(
      { length: options.l2.options.partitions },
      (_, index) => new Partition(index),
    );
    this.clock = new RedisClock(options.now);
    this.#repairer = new Repairer({
      l2: options.l2,
      log: options.log,
      random: options.random,
      signal: this.#stop.signal,
      accept: (partition, event) => this.#accept(partition, event),
      reset: (partition, lost) => this.#reset(partition, lost),
      repaired: (partition, how) => {
        if (how === 'replay') this.counters.gapsRepaired += 1;
        this.#renewOf(partition);
      },
    });
  }

  /** Begins to place subscriptions; never throws, and keeps trying until stopped. */
  start(): void {
    this.#place();
    this.#renewLater();
  }

  /** Changes how long a proof of completeness counts, for those already given too where it gets shorter. */
  changeMaxStaleness(maxStalenessMs: number): void {
    const lessMs = this.#maxStalenessMs - maxStalenessMs;
    if (lessMs === 0) return;
    // Leases that were handed down run as they were given: for as long others must wait for this agent.
    if (lessMs > 0)
      this.#handedDown = { ms: this.#maxStalenessMs, until: this.#options.now() + this.#maxStalenessMs };
    this.#maxStalenessMs = maxStalenessMs;
    if (lessMs > 0) for (const partition of this.partitions) partition.shortenLease(lessMs);
    if (this.#renewTimer === undefined || this.#stop.signal.aborted) return;
    this.#renewAll();
    this.#renewLater();
  }

  stop(): void {
    this.#stop.abort();
    clearTimeout(this.#placementTimer);
    clearTimeout(this.#renewTimer);
    for (const subscriber of this.#subscribers.values()) subscriber.close();
    this.#subscribers.clear();
    for (const partition of this.partitions) partition.fence();
  }

  /** Whether every partition is subscribed and its place in the log known. */
  get complete(): boolean {
    return (
      this.partitions.every((partition) => partition.current) && this.subscribed === this.partitions.length
    );
  }

  /** Partitions with a subscription that is acknowledged. */
  get subscribed(): number {
    let count = 0;
    for (const subscriber of this.#subscribers.values()) {
      if (subscriber.ready) count += subscriber.placement.partitions.length;
    }
    return count;
  }

  /** Partitions whose critical namespaces memory may answer at this moment. */
  get leased(): number {
    const now = this.#options.now();
    return this.partitions.reduce(
      (count, { freshCriticalUntil }) => count + Number(freshCriticalUntil > now),
      0,
    );
  }

  /** Milliseconds since the last event, or undefined before the first. */
  get lastEventAgeMs(): number | undefined {
    return this.#lastEventAt === undefined ? undefined : this.#options.now() - this.#lastEventAt;
  }

  /** Handles one message as if it came from the channel of a partition. */
  receive(index: number, json: string): void {
    const partition = this.partitions[index];
    if (partition === undefined) return;
    let event: LoggedEvent;
    try {
      event = decodeEvent(json);
    } catch (error) {
      this.counters.poisoned += 1;
      this.#options.log.warn({ partition: index, error: messageOf(error) }, 'poisoned message skipped');
      if (!(error instanceof PoisonedMessageError)) throw error;
      return;
    }
    this.#lastEventAt = this.#options.now();
    // Until the place in the log is known the log itself will tell: a message now is only a hint to look again.
    if (!partition.current) {
      this.#repairer.noteNewer(partition, event.version);
      return;
    }
    this.#follow(partition, event);
  }

  #follow(partition: Partition, event: LoggedEvent): void {
    switch (partition.judge(event)) {
      case 'next':
        this.#accept(partition, event);
        return;
      case 'duplicate':
        this.counters.duplicates += 1;
        return;
      case 'gap':
        this.#options.log.warn(
          { partition: partition.index, after: partition.received, got: event.version },
          'gap in events',
        );
        this.#repairer.repair(partition, event.version);
        return;
      case 'rewritten':
        this.#repairer.restart(partition, 'the log was rewritten');
    }
  }

  #accept(partition: Partition, event: LoggedEvent): void {
    this.counters.received += 1;
    this.#options.handlers.event(partition, event);
  }

  #reset(partition: Partition, lost: boolean): void {
    if (lost) this.counters.resets += 1;
    this.#options.handlers.reset(partition);
  }

  /** Looks up where partitions are and (re)makes the subscribers that this changes. One run at a time. */
  #place(): void {
    if (this.#stop.signal.aborted) return;
    if (this.#placing) {
      this.#placeAgain = true;
      return;
    }
    this.#placing = true;
    clearTimeout(this.#placementTimer);
    this.#placeOnce()
      .then(() => {
        this.#placementFailures = 0;
      })
      .catch((error: unknown) => {
        this.#placementFailures += 1;
        this.#options.log.debug({ error: messageOf(error) }, 'subscriptions could not be placed');
      })
      .finally(() => {
        this.#placing = false;
        const again = this.#placeAgain && this.#placementFailures === 0;
        this.#placeAgain = false;
        if (again) this.#place();
        else this.#placeLater();
      });
  }

  #placeLater(): void {
    const { random } = this.#options;
    const complete = this.subscribed === this.partitions.length;
    const delay = complete
      ? PLACEMENT_CHECK_MS * (0.8 + 0.4 * random())
      : backoffMs(this.#placementFailures, random);
    this.#placementTimer = setTimeout(() => this.#place(), delay);
  }

  async #placeOnce(): Promise<void> {
    const { commands, l2 } = this.#options;
    const placements = await placePartitions(commands(), l2);
    const wanted = new Map(placements.map((placement) => [placement.name, placement]));
    for (const [name, subscriber] of this.#subscribers) {
      const placement = wanted.get(name);
      if (placement !== undefined && samePartitions(placement, subscriber.placement)) wanted.delete(name);
      else this.#drop(name, subscriber);
    }
    const results = await Promise.allSettled(
      [...wanted.values()].map((placement) => this.#subscribe(placement)),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #subscribe(placement: Placement): Promise<void> {
    const { config, l2, log, agentId } = this.#options;
    const { name } = placement;
    const subscriber = new Subscriber({
      config,
      placement,
      l2,
      agentId,
      log,
      handlers: {
        message: (partition, json) => this.receive(partition, json),
        acknowledged: (partition, text) => this.#options.handlers.acknowledged(partition, text),
        lost: (reason) => {
          this.counters.subscriptionsLost += 1;
          log.warn({ master: name, reason }, 'event subscription lost');
          if (this.#subscribers.get(name) === subscriber) this.#subscribers.delete(name);
          this.#place();
        },
      },
    });
    this.#subscribers.set(name, subscriber);
    try {
      await subscriber.start();
    } catch (error) {
      this.#drop(name, subscriber);
      throw error;
    }
    log.info({ master: name, partitions: placement.partitions.length }, 'subscribed to events');
    await this.#renew(subscriber);
  }

  #drop(name: string, subscriber: Subscriber): void {
    subscriber.close();
    if (this.#subscribers.get(name) === subscriber) this.#subscribers.delete(name);
  }

  #renewAll(): void {
    for (const subscriber of this.#subscribers.values()) {
      if (subscriber.ready) void this.#renew(subscriber);
    }
  }

  #renewLater(): void {
    // Jittered, so that a thousand agents do not ask in the same millisecond; never later than a third of the bound.
    const periodMs = (this.#maxStalenessMs / 3) * (0.8 + 0.2 * this.#options.random());
    clearTimeout(this.#renewTimer);
    this.#renewTimer = setTimeout(() => {
      this.#countLostLeases();
      this.#renewAll();
      this.#renewLater();
    }, periodMs);
  }

  /** A lease that a gap took away for some milliseconds, between two looks, is no loss: it counts as a repair. */
  #countLostLeases(): void {
    const now = this.#options.now();
    for (const partition of this.partitions) {
      if (partition.freshCriticalUntil > now) this.#holders.add(partition);
      else if (this.#holders.delete(partition)) this.counters.leasesLost += 1;
    }
  }

  readonly #renewing = new Set<Subscriber>();

  /** Proves completeness as of now and extends the leases of a master's partitions; never throws. */
  async #renew(subscriber: Subscriber): Promise<void> {
    if (this.#renewing.has(subscriber)) return;
    this.#renewing.add(subscriber);
    try {
      await this.#renewNow(subscriber);
      this.counters.renewals += 1;
    } catch (error) {
      this.counters.renewalFailures += 1;
      this.#options.log.debug(
        { error: messageOf(error), master: subscriber.placement.name },
        'lease not renewed',
      );
      if (subscriber.ready && !this.#stop.signal.aborted) this.#doubt(subscriber, error);
    } finally {
      this.#renewing.delete(subscriber);
    }
  }

  #doubt(subscriber: Subscriber, error: unknown): void {
    // Only the PING speaks of the subscriber's own connection; heads travel on another.
    if (error instanceof PingFailed) subscriber.abandon(error.message);
    else this.#place();
  }

  /** Renews the leases of the master that a partition is on, if it is subscribed. */
  #renewOf(partition: Partition): void {
    for (const subscriber of this.#subscribers.values()) {
      if (subscriber.ready && subscriber.placement.partitions.includes(partition.index))
        void this.#renew(subscriber);
    }
  }

  async #renewNow(subscriber: Subscriber): Promise<void> {
    const { l2, now, agentId } = this.#options;
    // One bound for the whole proof: others wait as long for this agent as it has told Redis that its lease lasts.
    const maxStalenessMs = this.#maxStalenessMs;
    const partitions = subscriber.placement.partitions.flatMap((index) => this.partitions[index] ?? []);
    const asked: Asked[] = partitions.map(({ received, generation }) => ({ received, generation }));
    const askedAt = now();
    const { ms, until } = this.#handedDown;
    const registeredMs = askedAt < until ? Math.max(ms, maxStalenessMs) : maxStalenessMs;
    const heads = await Promise.all(
      partitions.map(async ({ index }, i) => {
        const head = await this.#reach(index, l2.registerAndReadHead(index, agentId, registeredMs));
        // The first answer waited for none of the others: it tells Redis' clock best.
        if (i === 0) this.clock.observe(head.clockUs, askedAt, now());
        return head;
      }),
    );
    try {
      await subscriber.ping();
    } catch (error) {
      throw new PingFailed(error);
    }
    if (!subscriber.ready) return;
    partitions.forEach((partition, i) => {
      const head = heads[i];
      const when = asked[i];
      if (head !== undefined && when !== undefined)
        this.#judgeHead(partition, head, when, askedAt + maxStalenessMs);
    });
  }

  async #reach<T>(partition: number, asked: Promise<T>): Promise<T> {
    const { reached } = this.#options.handlers;
    try {
      const answer = await asked;
      reached(partition, true);
      return answer;
    } catch (error) {
      if (error instanceof RedisUnavailableError) reached(partition, false);
      throw error;
    }
  }

  #judgeHead(partition: Partition, head: Head, asked: Asked, freshUntil: number): void {
    if (!partition.current) {
      this.#repairer.repair(partition, head.version);
      return;
    }
    // Fenced or reset since this proof was begun: it proves nothing about what is held now.
    if (partition.generation !== asked.generation) return;
    switch (partition.judgeHead(head, asked.received)) {
      case 'next':
        this.#extend(partition, freshUntil);
        return;
      case 'gap':
        this.#options.log.warn({ partition: partition.index, head: head.version }, 'events were missed');
        this.#repairer.repair(partition, head.version);
        return;
      default:
        this.#repairer.restart(partition, 'the log was rewritten or lost');
    }
  }

  /** Received is not yet applied: the lease counts for a lane from when all that was received by now is in L1. */
  #extend(partition: Partition, until: number): void {
    const { generation } = partition;
    this.#options.handlers.afterApplied('critical', () => {
      if (partition.generation === generation) partition.freshCriticalUntil = until;
    });
    this.#options.handlers.afterApplied('bulk', () => {
      if (partition.generation === generation) partition.freshBulkUntil = until;
    });
  }
}

/** What an agent had when it asked for a head. */
interface Asked {
  readonly received: string;
  readonly generation: number;
}

class PingFailed extends Error {
  constructor(cause: unknown) {
    super(`the event connection does not answer: ${messageOf(cause)}`, { cause });
  }
}

function samePartitions(a: Placement, b: Placement): boolean {
  return a.partitions.length === b.partitions.length && a.partitions.every((p, i) => p === b.partitions[i]);
}
