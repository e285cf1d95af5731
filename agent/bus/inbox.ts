import type { LoggedEvent } from '../../api/event.ts';
import type { Partition } from './partition.ts';

export type Lane = 'critical' | 'bulk';

/** What one received event asks of L1 in one lane. */
export interface InboxItem {
  readonly partition: Partition;
  /** The newest of the equal invalidations that were merged into this one. */
  event: LoggedEvent;
  /** The event's namespaces that belong to this lane. */
  readonly namespaces: readonly string[];
}

/** A place in a lane: told when everything before it has been applied. */
interface Barrier {
  readonly passed: () => void;
}

type Slot = InboxItem | Barrier;

export interface InboxOptions {
  /** Items that a lane holds before its floods turn into resets. */
  readonly maxItemsPerLane: number;
  /** Longest that one batch may keep lookups waiting, in milliseconds. */
  readonly batchMs: number;
  readonly now: () => number;
  /** Runs a batch after the messages that have already arrived, and before the next lookups. */
  readonly schedule: (run: () => void) => void;
  readonly apply: (item: InboxItem, lane: Lane) => void;
  /** Told instead of `apply` when a lane overflowed for a partition: everything in it counts as changed. */
  readonly overflow: (partition: Partition, lane: Lane, dropped: readonly InboxItem[]) => void;
}

/** Batches check the clock only each so many items: reading it costs more than applying one. */
const CLOCK_EVERY = 32;

/**
 * Events received and not yet applied, in two lanes: critical namespaces first. Bounded: a lane that is full
 * gives up the items of the partition that floods it, and that partition's entries are dropped instead.
 */
export class Inbox {
  readonly #options: InboxOptions;
  readonly #lanes: Record<Lane, Slot[]> = { critical: [], bulk: [] };
  /** Items of each partition that wait. */
  readonly #pending: Record<Lane, Map<number, number>> = { critical: new Map(), bulk: new Map() };
  readonly #heads: Record<Lane, number> = { critical: 0, bulk: 0 };
  /** Waiting items by what they invalidate: an equal one needs no second place. */
  readonly #mergeable: Record<Lane, Map<string, InboxItem>> = { critical: new Map(), bulk: new Map() };
  #scheduled = false;
  #merged = 0;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.laneSize('critical') + this.laneSize('bulk');
  }

  laneSize(lane: Lane): number {
    return this.#lanes[lane].length - this.#heads[lane];
  }

  /** Events that found an equal one waiting, since the start. */
  get merged(): number {
    return this.#merged;
  }

  /** Items of a partition that a lane still holds: none means applied up to what was received. */
  pendingOf(partition: Partition, lane: Lane): number {
    return this.#pending[lane].get(partition.index) ?? 0;
  }

  add(lane: Lane, item: InboxItem): void {
    const scope = mergeScope(item);
    const waiting = scope === undefined ? undefined : this.#mergeable[lane].get(scope);
    if (waiting !== undefined) {
      waiting.event = item.event;
      this.#merged += 1;
      return;
    }
    if (this.laneSize(lane) >= this.#options.maxItemsPerLane) {
      this.#overflow(lane, item);
      return;
    }
    this.#lanes[lane].push(item);
    if (scope !== undefined) this.#mergeable[lane].set(scope, item);
    this.#count(lane, item.partition.index, 1);
    this.#schedule();
  }

  /** Calls back when everything that a lane holds now has been applied; at once when that is nothing. */
  afterApplied(lane: Lane, passed: () => void): void {
    if (this.laneSize(lane) === 0) {
      passed();
      return;
    }
    this.#lanes[lane].push({ passed });
    this.#schedule();
  }

  /** Forgets what waits for a partition, which is about to be reset. */
  discard(partition: Partition): void {
    for (const lane of ['critical', 'bulk'] as const) this.#take(lane, partition);
  }

  #overflow(lane: Lane, item: InboxItem): void {
    const dropped = this.#take(lane, item.partition);
    dropped.push(item);
    this.#options.overflow(item.partition, lane, dropped);
  }

  #take(lane: Lane, partition: Partition): InboxItem[] {
    const taken: InboxItem[] = [];
    const kept: Slot[] = [];
    const items = this.#lanes[lane];
    for (let i = this.#heads[lane]; i < items.length; i++) {
      const item = items[i];
      if (item === undefined) continue;
      if ('passed' in item || item.partition !== partition) kept.push(item);
      else {
        taken.push(item);
        this.#forgetScope(lane, item);
      }
    }
    this.#lanes[lane] = kept;
    this.#heads[lane] = 0;
    this.#pending[lane].delete(partition.index);
    return taken;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.schedule(() => {
      this.#scheduled = false;
      this.#batch();
      if (this.size > 0) this.#schedule();
    });
  }

  #batch(): void {
    const deadline = this.#options.now() + this.#options.batchMs;
    for (const lane of ['critical', 'bulk'] as const) {
      let sinceClock = 0;
      for (let item = this.#shift(lane); item !== undefined; item = this.#shift(lane)) {
        if ('passed' in item) item.passed();
        else this.#options.apply(item, lane);
        sinceClock += 1;
        if (sinceClock >= CLOCK_EVERY) {
          if (this.#options.now() >= deadline) return;
          sinceClock = 0;
        }
      }
    }
  }

  #shift(lane: Lane): Slot | undefined {
    const items = this.#lanes[lane];
    const head = this.#heads[lane];
    const item = items[head];
    if (item === undefined) {
      if (head > 0) {
        this.#lanes[lane] = [];
        this.#heads[lane] = 0;
      }
      return undefined;
    }
    this.#heads[lane] = head + 1;
    if ('passed' in item) return item;
    this.#count(lane, item.partition.index, -1);
    this.#forgetScope(lane, item);
    return item;
  }

  #forgetScope(lane: Lane, item: InboxItem): void {
    const scope = mergeScope(item);
    if (scope !== undefined) this.#mergeable[lane].delete(scope);
  }

  #count(lane: Lane, partition: number, change: number): void {
    const pending = this.#pending[lane];
    const count = (pending.get(partition) ?? 0) + change;
    if (count === 0) pending.delete(partition);
    else pending.set(partition, count);
  }
}

/**
 * What makes two waiting invalidations equal; nothing for those that somebody waits for or that name more than a key, nor
 * for one of a trace, which tells when each agent applied this very one.
 */
function mergeScope({ event, namespaces }: InboxItem): string | undefined {
  const { keys, tags, confirm, traceparent } = event;
  if (confirm !== undefined || traceparent !== undefined) return undefined;
  if (namespaces.length !== 1 || keys.length !== 1 || tags.length > 0) return undefined;
  return `${namespaces[0]}:${keys[0]}`;
}
