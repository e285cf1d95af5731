import type { ChangePart } from '../l2/l2.ts';
import type { Watchers } from '../watch/watchers.ts';
import type { L1 } from './l1.ts';
import type { Reader } from './reader.ts';

export interface InvalidatorOptions {
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
