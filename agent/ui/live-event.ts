import type { LoggedEvent } from '../../api/event.ts';

const MOST_NAMES = 8;
const MOST_TEXT = 200;

/**
 * A change as people see it pass: what happened to what, never what it says. Small, because hundreds are kept, and without the
 * event’s data, which may be as large as a value, and as secret.
 */
export class LiveEvent {
  readonly id: string;
  readonly type: string;
  readonly op: LoggedEvent['op'];
  /** The first few of what it names, and how many there are. */
  readonly keys: readonly string[];
  readonly keyCount: number;
  readonly tags: readonly string[];
  readonly tagCount: number;
  readonly source: string;
  readonly resource: string;
  readonly reason: string;
  /** In the partition that it was first seen in. */
  readonly version: string;
  /** Milliseconds since 1970 by Redis’ clock. */
  readonly loggedAt: number;
  namespaces: readonly string[] = [];
  /** How many partitions it has come in. */
  partitions = 0;
  /** From the log into this agent’s memory, in the slowest of its partitions so far; -1 where it is not known. */
  propagationMs = -1;
  readonly #seenIn = new Set<number>();

  constructor(event: LoggedEvent) {
    const { keys, tags } = event;
    this.id = event.event_id;
    this.type = event.event_type;
    this.op = event.op;
    this.keys = keys.slice(0, MOST_NAMES);
    this.keyCount = keys.length;
    this.tags = tags.slice(0, MOST_NAMES);
    this.tagCount = tags.length;
    this.source = event.source_node;
    this.resource = event.resource_id.slice(0, MOST_TEXT);
    this.reason = (event.reason ?? '').slice(0, MOST_TEXT);
    this.version = event.version;
    this.loggedAt = Math.round(event.logged_at_us / 1000);
  }

  /** It was applied in one of its partitions, in some of its namespaces. */
  note(partition: number, namespaces: readonly string[], ageMs: number | undefined): void {
    this.#seenIn.add(partition);
    this.partitions = this.#seenIn.size;
    if (!namespaces.every((name) => this.namespaces.includes(name)))
      this.namespaces = [...new Set([...this.namespaces, ...namespaces])];
    if (ageMs !== undefined) this.propagationMs = Math.max(this.propagationMs, Math.round(ageMs * 100) / 100);
  }
}
