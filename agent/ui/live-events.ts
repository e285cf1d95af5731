import type { LoggedEvent } from '../../api/event.ts';
import { EventReader, type EventSink } from './event-reader.ts';
import { LiveEvent } from './live-event.ts';

/** Shown to who opens the page, so that it is not empty where little happens. */
const MOST_RECENT = 200;
/** People at pages, not programs: those have Watch. */
export const MOST_READERS = 32;
/** Nobody reads faster. */
const FLUSH_MS = 250;

/** The changes that this agent applies, as they pass, for those who look on: a short past, and readers with bounded buffers. */
export class LiveEvents {
  readonly counters = { missed: 0, dropped: 0 };
  readonly #now: () => number;
  readonly #recent = new Map<string, LiveEvent>();
  readonly #readers = new Set<EventReader>();
  #timer: NodeJS.Timeout | undefined;

  /** @param now monotonic milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** An event was applied to memory in some of its namespaces. The same one comes once for each partition and lane. */
  note(
    partition: number,
    namespaces: readonly string[],
    event: LoggedEvent,
    ageMs: number | undefined,
  ): void {
    const live = this.#recent.get(event.event_id) ?? this.#begin(event);
    live.note(partition, namespaces, ageMs);
    for (const reader of this.#readers) reader.add(live);
  }

  /** A partition’s entries were dropped, because events of it may have been missed. */
  noteReset(partition: number, why: string): void {
    for (const reader of this.#readers) reader.addReset(partition, why);
  }

  /**
   * @param isStill whether the reader may go on, asked whenever it is to be sent something
   * @returns nothing where there are too many already
   */
  read(sink: EventSink, isStill: () => boolean = () => true): EventReader | undefined {
    if (this.#readers.size >= MOST_READERS) return undefined;
    const reader = new EventReader({ sink, now: this.#now, counters: this.counters, isStill });
    this.#readers.add(reader);
    this.#timer ??= setInterval(() => this.flush(), FLUSH_MS).unref();
    reader.begin([...this.#recent.values()]);
    return reader;
  }

  remove(reader: EventReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Sends everybody what waits, and drops those who do not read. */
  flush(): void {
    for (const reader of this.#readers) if (!reader.flush()) this.remove(reader);
  }

  stop(): void {
    for (const reader of this.#readers) {
      reader.end('the agent stops');
      this.remove(reader);
    }
  }

  #begin(event: LoggedEvent): LiveEvent {
    const live = new LiveEvent(event);
    this.#recent.set(live.id, live);
    if (this.#recent.size > MOST_RECENT) {
      const oldest = this.#recent.keys().next();
      if (!oldest.done) this.#recent.delete(oldest.value);
    }
    return live;
  }
}
