import type { Logger } from 'pino';
import type { CacheEvent } from '../../api/event.ts';
import { AgentError, RedisUnavailableError } from '../errors.ts';
import type { AgentRegistration, ChangeOutcome, ChangePart, L2, PutPart } from '../l2/l2.ts';
import type { Outbox } from './outbox.ts';

/** A change that has been checked: what it writes or invalidates, and the event that tells of it. */
export interface Change {
  readonly event: CacheEvent;
  readonly put?: Omit<PutPart, 'base'>;
  /** Namespaces in which keys and tags are invalidated; whole where there are neither. Not for puts. */
  readonly namespaces: readonly string[];
  readonly minReplicas: number;
  readonly confirm: boolean;
}

/** What became of one partition's part. */
export interface PartResult {
  readonly part: ChangePart;
  readonly outcome: ChangeOutcome['outcome'] | 'queued';
  readonly version: string;
  readonly agents: ReadonlyMap<string, AgentRegistration>;
  readonly logAgeMs: number;
}

export interface ChangesOptions {
  readonly l2: L2;
  readonly outbox: Outbox;
  readonly agentId: string;
  /** Newest event received in a partition: what a put that must wait may still overwrite. */
  readonly received: (partition: number) => string;
  /**
   * Drops from this agent's memory what a part changes, before the event comes around: its caller may ask this agent
   * next. Without a version the part was queued: whatever memory holds is never answered again.
   */
  readonly dropLocally: (part: ChangePart, version: string | undefined) => void;
  readonly log: Logger;
}

/** Makes changes: splits them by partition, sends them, queues what cannot be sent. */
export class Changes {
  published = 0;
  readonly #options: ChangesOptions;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  /**
   * @throws AgentError EC_OUTBOX_FULL; EC_REDIS_REFUSED; EC_REDIS_UNAVAILABLE for a compare-and-set, which
   * cannot wait because its outcome is the answer.
   */
  async make(change: Change): Promise<PartResult[]> {
    const parts = this.#split(change);
    const { outbox } = this.#options;
    const conditional = change.put !== undefined && change.put.ifVersion !== '';
    if (!conditional && parts.some(({ partition }) => outbox.holds(partition))) {
      // What waits goes first: a part that overtook it would turn the order of two changes.
      const [waiting, free] = partition(parts, (part) => outbox.holds(part.partition));
      const queued = this.#queue(waiting);
      return [...queued, ...(await this.#sendAll(free, false))];
    }
    return this.#sendAll(parts, conditional);
  }

  async #sendAll(parts: readonly ChangePart[], conditional: boolean): Promise<PartResult[]> {
    const settled = await Promise.allSettled(parts.map((part) => this.#options.l2.change(part)));
    const results: PartResult[] = [];
    const unsent: ChangePart[] = [];
    let refusal: unknown;
    settled.forEach((outcome, i) => {
      const part = parts[i];
      if (part === undefined) return;
      if (outcome.status === 'fulfilled') {
        results.push({ part, ...outcome.value });
        if (outcome.value.outcome === 'applied') this.#options.dropLocally(part, outcome.value.version);
      } else if (outcome.reason instanceof RedisUnavailableError && !conditional) unsent.push(part);
      else refusal ??= outcome.reason;
    });
    if (refusal !== undefined) throw refusal;
    this.published += results.filter(({ outcome }) => outcome === 'applied').length;
    return unsent.length === 0 ? results : [...results, ...this.#queue(unsent)];
  }

  #queue(parts: readonly ChangePart[]): PartResult[] {
    const { outbox, received, dropLocally, log } = this.#options;
    const waiting = parts.map((part) =>
      part.put === undefined ? part : { ...part, put: { ...part.put, base: received(part.partition) } },
    );
    outbox.add(waiting);
    for (const part of waiting) dropLocally(part, undefined);
    log.warn(
      { eventId: parts[0]?.eventId, parts: parts.length, waiting: outbox.size },
      'Redis is out of reach: change queued',
    );
    return waiting.map((part) => ({ part, outcome: 'queued', version: '', agents: new Map(), logAgeMs: 0 }));
  }

  #split(change: Change): ChangePart[] {
    const { event, put } = change;
    if (put !== undefined) {
      const at = this.#options.l2.partitionOf(put.namespace, put.key);
      return [this.#part(change, at, event.keys, { put: { ...put, base: '' } })];
    }
    return event.tags.length > 0 || event.keys.length === 0 ? this.#everywhere(change) : this.#byKey(change);
  }

  /** Entries with a tag, and those of a whole namespace, can be in any partition: each gets the markers. */
  #everywhere(change: Change): ChangePart[] {
    const { event, namespaces } = change;
    const whole = event.tags.length === 0 && event.keys.length === 0;
    const byPartition = this.#keysByPartition(change);
    return Array.from({ length: this.#options.l2.options.partitions }, (_, at) => {
      const keys = byPartition.get(at) ?? [];
      return this.#part(change, at, [...new Set(keys.map(({ key }) => key))], {
        keys,
        tagMarkers: namespaces.flatMap((namespace) => event.tags.map((tag) => ({ namespace, tag }))),
        namespaceMarkers: whole ? namespaces : [],
      });
    });
  }

  #byKey(change: Change): ChangePart[] {
    return [...this.#keysByPartition(change)].map(([at, keys]) =>
      this.#part(change, at, [...new Set(keys.map(({ key }) => key))], { keys }),
    );
  }

  #keysByPartition({ event, namespaces }: Change): Map<number, { namespace: string; key: string }[]> {
    const byPartition = new Map<number, { namespace: string; key: string }[]>();
    for (const namespace of namespaces) {
      for (const key of event.keys) {
        const at = this.#options.l2.partitionOf(namespace, key);
        const list = byPartition.get(at) ?? [];
        list.push({ namespace, key });
        byPartition.set(at, list);
      }
    }
    return byPartition;
  }

  #part(
    change: Change,
    at: number,
    keys: readonly string[],
    scope: Partial<Pick<ChangePart, 'put' | 'keys' | 'tagMarkers' | 'namespaceMarkers'>>,
  ): ChangePart {
    const { event, confirm, minReplicas } = change;
    const json = JSON.stringify({ ...event, keys, ...(confirm ? { confirm: this.#options.agentId } : {}) });
    return {
      partition: at,
      eventId: event.event_id,
      body: json.slice(1),
      keys: [],
      tagMarkers: [],
      namespaceMarkers: [],
      minReplicas,
      confirm,
      ...scope,
    };
  }
}

/** What a compare-and-set that lost is answered with. */
export function conflictOf(results: readonly PartResult[]): AgentError | undefined {
  const conflict = results.find(({ outcome }) => outcome === 'conflict');
  if (conflict === undefined) return undefined;
  const standing =
    conflict.version === '0' ? 'there is no entry' : `the entry has version ${conflict.version}`;
  return new AgentError(
    'EC_VERSION_CONFLICT',
    `if_version does not match: ${standing}; read again and decide anew`,
  );
}

function partition<T>(list: readonly T[], first: (item: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const item of list) (first(item) ? yes : no).push(item);
  return [yes, no];
}
