import type { LoggedEvent } from '../../api/event.ts';
import type { Namespace } from '../../api/namespace.ts';
import type { ChangePart } from '../l2/l2.ts';
import type { Watchers } from '../watch/watchers.ts';
import type { L1 } from './l1.ts';
import type { Reader } from './reader.ts';

export interface InvalidatorOptions {
  readonly rules: (namespace: string) => Namespace | undefined;
  readonly l1: L1;
  readonly reader: Reader;
  readonly watchers: Watchers;
}

/** Takes out of this agent's memory what has changed, and out of reads that are under way. */
export class Invalidator {
  readonly #options: InvalidatorOptions;

  constructor(options: InvalidatorOptions) {
    this.#options = options;
  }

  /**
   * The event without the value that it carries, where memory has nothing that it could take the place of: what waits to
   * be applied takes no more room than is of use.
   */
  lighten(event: LoggedEvent): LoggedEvent {
    const { put, affected_namespaces: namespaces, keys, version } = event;
    if (put === undefined) return event;
    const [namespace = ''] = namespaces;
    const [key = ''] = keys;
    if (this.#options.l1.holdsOlder(namespace, key, version)) return event;
    const { put: _, ...light } = event;
    return light;
  }

  /**
   * Applies an event to memory in some of its namespaces: what it names is replaced by the value that it carries, or dropped.
   * @param ageMs milliseconds since it was logged; undefined where that is not known
   */
  apply(
    partition: number,
    namespaces: readonly string[],
    event: LoggedEvent,
    ageMs: number | undefined,
  ): void {
    if (this.#replace(partition, namespaces, event, ageMs)) return;
    this.invalidate(partition, namespaces, event.keys, event.tags, event.version);
  }

  #replace(
    partition: number,
    namespaces: readonly string[],
    { put, keys, version }: LoggedEvent,
    ageMs: number | undefined,
  ): boolean {
    if (put === undefined || ageMs === undefined) return false;
    const { reader, rules: rulesOf } = this.#options;
    const [namespace = ''] = namespaces;
    const [key = ''] = keys;
    const rules = rulesOf(namespace);
    if (rules === undefined || rules.pushValueBytes === 0) return false;
    const entry = { version, value: Buffer.from(put.value, 'base64'), tags: put.tags, absent: false };
    if (!reader.replace(rules, key, partition, entry, put.ttl_ms - ageMs)) return false;
    reader.forgetFlight(partition, namespace, key);
    return true;
  }

  /** Drops from memory what an event names in one partition, if it is older than a version. */
  invalidate(
    partition: number,
    namespaces: readonly string[],
    keys: readonly string[],
    tags: readonly string[],
    version: string,
  ): void {
    const { l1, reader } = this.#options;
    for (const namespace of namespaces) {
      for (const key of keys) {
        l1.invalidateKey(namespace, key, version);
        reader.forgetFlight(partition, namespace, key);
      }
      for (const tag of tags) l1.invalidateTag(namespace, tag, partition, version);
      if (keys.length === 0 && tags.length === 0) l1.invalidateNamespace(namespace, partition);
    }
    // Which of the reads under way will bring an entry with the tag is not known before they land.
    if (tags.length > 0 || keys.length === 0) reader.forgetFlights(partition);
  }

  /**
   * Drops what a part of a change names, before its event comes around.
   * @param version undefined: the part was queued, and has no version yet.
   */
  drop(
    { partition, eventId, put, keys, tagMarkers, namespaceMarkers }: ChangePart,
    version: string | undefined,
  ): void {
    // Unconditional where the version is not known: nothing is newer than what was just accepted.
    const than = version ?? `${Number.MAX_SAFE_INTEGER}-0`;
    const all = put === undefined ? keys : [put, ...keys];
    const tell = (namespace: string, names: { keys?: string[]; tags?: string[] }) => {
      // What Redis has logged comes around to near caches as an event, in its order.
      if (version !== undefined) return;
      this.#options.watchers.invalidated({ namespace, keys: [], tags: [], version: '', eventId, ...names });
    };
    for (const { namespace, key } of all) {
      this.invalidate(partition, [namespace], [key], [], than);
      tell(namespace, { keys: [key] });
    }
    for (const { namespace, tag } of tagMarkers) {
      this.invalidate(partition, [namespace], [], [tag], than);
      tell(namespace, { tags: [tag] });
    }
    for (const namespace of namespaceMarkers) {
      this.invalidate(partition, [namespace], [], [], than);
      tell(namespace, {});
    }
  }
}
