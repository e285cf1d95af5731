import { randomUUID } from 'node:crypto';
import type { Namespace } from '../../api/namespace.ts';
import type { Analytics } from '../analytics/analytics.ts';
import type { MissCause } from '../analytics/departures.ts';
import type { Lane } from '../bus/inbox.ts';
import type { Partition } from '../bus/partition.ts';
import { RedisUnavailableError } from '../errors.ts';
import type { Entry } from '../l2/entry.ts';
import type { L2, ReadItem, ReadResult } from '../l2/l2.ts';
import { compareVersions } from '../l2/version.ts';
import type { AdaptiveTtl } from '../ttl/adaptive-ttl.ts';
import { type Answer, DEGRADED, miss, NO_TAGS, SOURCE } from './answer.ts';
import type { L1 } from './l1.ts';
import type { L1Entry } from './l1-entry.ts';
import { Limiter } from './limiter.ts';

/** A lookup that has been checked: its namespace is known and its key within limits. */
export interface Lookup {
  readonly rules: Namespace;
  readonly key: string;
  readonly wantLease: boolean;
  readonly wantTags: boolean;
  /** With a lease wanted: an entry that has less than this left to live is leased too. */
  readonly refreshBelowMs: number;
  /** Version that the answer must show, or a later one; empty: none. */
  readonly minVersion: string;
  /** Event of a change that was queued when its caller was answered: its version is not known yet. Empty: none. */
  readonly minEvent: string;
}

const UNASKED = { wantLease: false, wantTags: false, refreshBelowMs: 0, minVersion: '', minEvent: '' };

/** Most that a caller is told to wait for somebody else's load: most loads are shorter, and asking is cheap. */
const RETRY_AFTER_MS = 25;

/** Reads of L2 that run and wait at once. After an outage all of L1 wants refilling: Redis gets it in portions. */
const MAX_READS = 256;
const MAX_WAITING_READS = 20_000;

/** One read of L2 that any number of callers share. */
interface Flight {
  readonly result: Promise<ReadResult>;
}

/** Keys of one partition that are about to be read together. */
interface Booking {
  readonly lookups: Lookup[];
  readonly items: ReadItem[];
  readonly results: Promise<ReadResult>[];
}

/** Gives the result of a lookup once its flight has been launched. */
type Seat = () => Promise<ReadResult> | undefined;

export interface ReaderOptions {
  readonly l1: L1;
  readonly l2: L2;
  readonly partitions: readonly Partition[];
  readonly analytics: Analytics;
  readonly ttl: AdaptiveTtl;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Without events there is no proof of freshness: critical namespaces are read from L2, others live by TTL. */
  readonly eventDriven: boolean;
  /** Told of every answer from L1, for the audit. */
  readonly answered: (rules: Namespace, key: string, version: string, partition: number) => void;
  /** Whether a change that this agent accepted, and could not send yet, makes an entry old. */
  readonly isQueued: (partition: number, namespace: string, key: string, tags: readonly string[]) => boolean;
  /** Told how Redis answered a read of a partition. */
  readonly reached: (partition: number, answered: boolean) => void;
  /** Whether everything up to a version has been applied in a lane. */
  readonly isApplied: (partition: Partition, lane: Lane, version: string) => boolean;
}

export interface ReadCounters {
  l1Hits: number;
  l1Misses: number;
  l2Hits: number;
  l2Misses: number;
  /** Reads of L2 that failed. An error is never counted as a miss. */
  l2Errors: number;
  staleServed: number;
  degraded: number;
}

/**
 * The read path: L1 under a valid lease, then one flight per key to L2, then a miss.
 *
 * An entry from L2 enters L1 only if nothing newer than the log head that came with it has been applied: then
 * whatever invalidates it is still to come, and will find it.
 */
export class Reader {
  readonly counters: ReadCounters = {
    l1Hits: 0,
    l1Misses: 0,
    l2Hits: 0,
    l2Misses: 0,
    l2Errors: 0,
    staleServed: 0,
    degraded: 0,
  };
  /** Entries that an event's value took the place of. */
  replaced = 0;
  readonly #options: ReaderOptions;
  readonly #flights: Map<string, Flight>[];
  readonly #limiter = new Limiter(MAX_READS, MAX_WAITING_READS);

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#flights = options.partitions.map(() => new Map());
  }

  /** The answer from L1, at once and without a promise, or undefined where L2 must be asked. */
  fromMemory(lookup: Lookup): Answer | undefined {
    const { rules, key, minEvent } = lookup;
    const { l1, now, analytics, ttl } = this.#options;
    if (rules.adaptiveTtl !== undefined) ttl.noteRead(rules, key);
    const reads = analytics.reads(rules.name);
    const entry = minEvent === '' ? l1.get(rules.name, key) : undefined;
    const time = now();
    const cause = entry === undefined ? undefined : this.#whyNot(lookup, entry, time);
    if (entry === undefined || cause !== undefined) {
      analytics.missed(reads, key, minEvent === '' ? cause : 'unproven');
      return undefined;
    }
    this.counters.l1Hits += 1;
    reads.hits += 1;
    analytics.hit(reads, key);
    this.#options.answered(rules, key, entry.version, entry.partition);
    return toAnswer(entry, SOURCE.l1, entry.endsAt - time, lookup.wantTags);
  }

  /** Answers lookups that memory could not, in the order given; one round trip per partition. Never throws. */
  async fromL2(lookups: readonly Lookup[]): Promise<Answer[]> {
    this.counters.l1Misses += lookups.length;
    if (lookups.some(({ minEvent }) => minEvent !== ''))
      return Promise.all(lookups.map((lookup) => this.#afterEvent(lookup)));
    const bookings = new Map<number, Booking>();
    const seats = lookups.map((lookup) => this.#join(lookup, bookings));
    for (const [partition, booking] of bookings) this.#launch(partition, booking);
    return Promise.all(lookups.map((lookup, i) => this.#answer(lookup, seats[i]?.())));
  }

  /**
   * Reads entries into memory that nobody has asked for; neither hits nor misses.
   * @returns how many of them there are
   * @throws RedisUnavailableError, RedisRefusedError
   */
  async preload(items: readonly { readonly rules: Namespace; readonly key: string }[]): Promise<number> {
    const bookings = new Map<number, Booking>();
    const seats = items.map((item) => this.#join({ ...item, ...UNASKED }, bookings));
    for (const [partition, booking] of bookings) this.#launch(partition, booking);
    const results = await Promise.allSettled(seats.map((seat) => seat()));
    const failed = results.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    return results.filter((one) => one.status === 'fulfilled' && one.value?.entry !== undefined).length;
  }

  /** Reads that wait for Redis. */
  get waiting(): number {
    return this.#limiter.waiting;
  }

  /** A queued change is seen once Redis has its event; until then nothing that this agent has is new enough. */
  async #afterEvent(lookup: Lookup): Promise<Answer> {
    const { minEvent, rules, key } = lookup;
    try {
      const { l2 } = this.#options;
      const version =
        minEvent === '' ? '' : await l2.versionOfEvent(l2.partitionOf(rules.name, key), minEvent);
      if (version !== undefined) {
        const [answer] = await this.fromL2([
          { ...lookup, minEvent: '', minVersion: version || lookup.minVersion },
        ]);
        return answer ?? DEGRADED;
      }
    } catch {
      this.counters.l2Errors += 1;
    }
    return this.#degraded(rules);
  }

  /** Later readers must not share a read that began before an invalidation that has been applied. */
  forgetFlight(partition: number, namespace: string, key: string): void {
    this.#flights[partition]?.delete(flightKey(namespace, key));
  }

  forgetFlights(partition: number): void {
    this.#flights[partition]?.clear();
  }

  /** Keeps what a change of this agent's own wrote, if nothing applied since may have replaced it. */
  keepOwn(rules: Namespace, key: string, partition: number, entry: Entry, ttlMs: number): void {
    const { l1, partitions, now } = this.#options;
    const place = partitions[partition];
    if (place === undefined || !place.current || compareVersions(place.applied, entry.version) > 0) return;
    l1.set(rules.name, key, partition, entry, ttlMs, now(), 'own');
  }

  /**
   * Puts what an event carried in the place of what memory holds of its key.
   * @param entry with the event's version; the event is the next to be applied of those that name the key.
   * @returns false where it may not be kept; then the event's version invalidates what is held, as without a value.
   */
  replace(rules: Namespace, key: string, partition: number, entry: Entry, ttlMs: number): boolean {
    const { l1, partitions, now, isQueued } = this.#options;
    const place = partitions[partition];
    if (place === undefined || !place.current || ttlMs <= 0) return false;
    if (compareVersions(place.applied, entry.version) > 0) return false;
    if (!l1.holdsOlder(rules.name, key, entry.version)) return false;
    if (isQueued(partition, rules.name, key, entry.tags)) return false;
    l1.set(rules.name, key, partition, entry, ttlMs, now(), 'event');
    this.replaced += 1;
    return true;
  }

  /** Why a lookup now would not be answered with an entry of memory; undefined: it would. */
  whyUnanswered(rules: Namespace, key: string, entry: L1Entry): MissCause | undefined {
    return this.#whyNot({ rules, key, ...UNASKED }, entry, this.#options.now());
  }

  /** Why an entry in memory may not answer a lookup; undefined: it may. */
  #whyNot(lookup: Lookup, entry: L1Entry, time: number): MissCause | undefined {
    if (time >= entry.freshUntil) return 'expired';
    if (!this.#mayAnswer(lookup.rules, entry.partition, time, lookup.minVersion)) return 'unproven';
    return entry.endsAt - time < lookup.refreshBelowMs ? 'refresh' : undefined;
  }

  #mayAnswer(rules: Namespace, partition: number, time: number, minVersion: string): boolean {
    const { partitions, eventDriven, isApplied } = this.#options;
    if (!eventDriven) return !rules.critical && minVersion === '';
    const place = partitions[partition];
    if (place === undefined) return false;
    const freshUntil = rules.critical ? place.freshCriticalUntil : place.freshBulkUntil;
    if (time >= freshUntil || (rules.critical && time < place.settlingUntil)) return false;
    return minVersion === '' || isApplied(place, rules.critical ? 'critical' : 'bulk', minVersion);
  }

  /** Joins the flight of a key, or books a seat on a new one. */
  #join(lookup: Lookup, bookings: Map<number, Booking>): Seat {
    const { rules, key, wantLease, minVersion, refreshBelowMs } = lookup;
    const partition = this.#options.l2.partitionOf(rules.name, key);
    // A lease goes to one caller, and a minimum is met only by reads that begin now: neither may be shared.
    const shared =
      wantLease || minVersion !== '' ? undefined : this.#flights[partition]?.get(flightKey(rules.name, key));
    if (shared !== undefined) return () => shared.result;
    let booking = bookings.get(partition);
    if (booking === undefined) {
      booking = { lookups: [], items: [], results: [] };
      bookings.set(partition, booking);
    }
    booking.lookups.push(lookup);
    booking.items.push({
      namespace: rules.name,
      key,
      leaseToken: wantLease ? randomUUID() : '',
      refreshBelowMs,
    });
    const { results } = booking;
    const index = booking.items.length - 1;
    return () => results[index];
  }

  /** Sends one read for all of a partition's keys and registers each of them as a flight. */
  #launch(partition: number, booking: Booking): void {
    const read = this.#limiter.run(() => this.#read(partition, booking.items));
    booking.lookups.forEach((lookup, index) => {
      const result = read.then((all) => {
        const one = all[index];
        if (one === undefined) throw new RedisUnavailableError(new Error('an answer is missing'));
        this.#keep(partition, lookup, one);
        return one;
      });
      booking.results.push(result);
      if (!lookup.wantLease) this.#register(partition, lookup, { result });
    });
  }

  async #read(partition: number, items: readonly ReadItem[]): Promise<ReadResult[]> {
    const { l2, reached } = this.#options;
    try {
      const results = await l2.read(partition, items);
      reached(partition, true);
      return results;
    } catch (error) {
      if (error instanceof RedisUnavailableError) reached(partition, false);
      throw error;
    }
  }

  /**
   * Whether an answer of L2 may be older than a change that was accepted while the partition's master was out of
   * reach: one of this agent's own, or in a critical namespace one that another agent has just the time to send.
   */
  #isDoubtful({ rules, key, minVersion }: Lookup, partition: number, tags: readonly string[]): boolean {
    const { isQueued, partitions, now } = this.#options;
    if (isQueued(partition, rules.name, key, tags)) return true;
    return rules.critical && minVersion === '' && now() < (partitions[partition]?.settlingUntil ?? 0);
  }

  #register(partition: number, lookup: Lookup, flight: Flight): void {
    const flights = this.#flights[partition];
    const name = flightKey(lookup.rules.name, lookup.key);
    flights?.set(name, flight);
    const land = () => {
      if (flights?.get(name) === flight) flights.delete(name);
    };
    flight.result.then(land, land);
  }

  #keep(partition: number, lookup: Lookup, result: ReadResult): void {
    const { rules, key } = lookup;
    const { entry, head, ttlMs } = result;
    const { l1, partitions, now } = this.#options;
    const place = partitions[partition];
    if (entry === undefined || place === undefined || ttlMs <= 0) return;
    if (compareVersions(place.applied, head) > 0 || this.#isDoubtful(lookup, partition, entry.tags)) return;
    l1.set(rules.name, key, partition, entry, ttlMs, now());
  }

  async #answer(lookup: Lookup, flight: Promise<ReadResult> | undefined): Promise<Answer> {
    try {
      const result = await (flight ?? Promise.reject(new Error('not read')));
      const { rules, key } = lookup;
      const reads = this.#options.analytics.reads(rules.name);
      const partition = this.#options.l2.partitionOf(rules.name, key);
      if (this.#isDoubtful(lookup, partition, result.entry?.tags ?? [])) return this.#degraded(rules);
      if (result.entry !== undefined) {
        this.counters.l2Hits += 1;
        reads.hits += 1;
        reads.l2Hits += 1;
        const answer = toAnswer(result.entry, SOURCE.l2, result.ttlMs, lookup.wantTags);
        return result.leaseToken === '' ? answer : { ...answer, leaseToken: result.leaseToken };
      }
      if (result.unreadable) {
        this.counters.l2Errors += 1;
        return this.#degraded(rules);
      }
      this.counters.l2Misses += 1;
      reads.misses += 1;
      const old = result.retryAfterMs > 0 ? this.#expired(lookup, result.head) : undefined;
      if (old !== undefined) {
        reads.expiredGiven += 1;
        return old;
      }
      return miss(result.leaseToken, Math.min(result.retryAfterMs, RETRY_AFTER_MS));
    } catch {
      this.counters.l2Errors += 1;
      return this.#withoutL2(lookup);
    }
  }

  /** Go to the source of truth. */
  #degraded(rules: Namespace): Answer {
    this.counters.degraded += 1;
    this.#options.analytics.reads(rules.name).degraded += 1;
    return DEGRADED;
  }

  /** Redis is out of reach: what memory holds may serve where the namespace allows it, and is marked. */
  #withoutL2({ rules, key, minVersion }: Lookup): Answer {
    const { l1, now } = this.#options;
    const entry = rules.critical || minVersion !== '' ? undefined : l1.get(rules.name, key);
    const time = now();
    if (entry === undefined || time >= entry.endsAt + rules.staleIfErrorSeconds * 1000)
      return this.#degraded(rules);
    this.counters.staleServed += 1;
    this.#options.analytics.reads(rules.name).staleGiven += 1;
    return { ...toAnswer(entry, SOURCE.l1, entry.endsAt - time, false), stale: true };
  }

  /**
   * Somebody else is loading: what has only expired may serve meanwhile, marked stale, where the namespace allows it.
   * Everything up to the head of the miss must have been applied: then what memory still holds was not invalidated.
   */
  #expired({ rules, key, minVersion }: Lookup, head: string): Answer | undefined {
    if (rules.critical || minVersion !== '') return undefined;
    const { l1, now, partitions, isApplied } = this.#options;
    const entry = l1.get(rules.name, key);
    const place = entry === undefined ? undefined : partitions[entry.partition];
    const time = now();
    if (entry === undefined || place === undefined || !place.current || !isApplied(place, 'bulk', head))
      return undefined;
    if (time < entry.endsAt || time >= entry.endsAt + rules.staleIfErrorSeconds * 1000) return undefined;
    this.counters.staleServed += 1;
    return { ...toAnswer(entry, SOURCE.l1, 0, false), stale: true };
  }
}

function flightKey(namespace: string, key: string): string {
  return `${namespace}:${key}`;
}

function toAnswer(
  entry: Pick<L1Entry, 'value' | 'version' | 'absent' | 'tags'>,
  source: 1 | 2,
  ttlMs: number,
  wantTags: boolean,
): Answer {
  return {
    found: true,
    value: entry.value,
    version: entry.version,
    ttlMs: Math.max(0, Math.floor(ttlMs)),
    source,
    stale: false,
    degraded: false,
    leaseToken: '',
    retryAfterMs: 0,
    absent: entry.absent,
    refusal: undefined,
    tags: wantTags ? [...entry.tags] : NO_TAGS,
  };
}
