export interface TypeChurn {
  readonly eventType: string;
  /** Events applied; one that touches several partitions counts in each. */
  readonly events: number;
  /** Entries that they took out of memory; a whole namespace of a partition counts as one. */
  readonly dropped: number;
}

/** The set of types is open, and a metric's labels must not be. */
const MAX_TYPES = 64;
const OTHER = 'other';

/** What changes cost memory, by type of event. */
export class Churn {
  readonly #types = new Map<string, { events: number; dropped: number }>();

  note(eventType: string, dropped: number): void {
    const found = this.#types.get(eventType) ?? this.#newType(eventType);
    found.events += 1;
    found.dropped += dropped;
  }

  /** What took most entries first. */
  byType(): TypeChurn[] {
    return [...this.#types]
      .map(([eventType, counts]) => ({ eventType, ...counts }))
      .sort((a, b) => b.dropped - a.dropped || b.events - a.events);
  }

  #newType(eventType: string): { events: number; dropped: number } {
    const name = this.#types.size < MAX_TYPES - 1 ? eventType : OTHER;
    const counts = this.#types.get(name) ?? { events: 0, dropped: 0 };
    this.#types.set(name, counts);
    return counts;
  }
}
