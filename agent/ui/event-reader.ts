import type { LiveEvent } from './live-event.ts';

/** Where a reader’s messages go: an HTTP response. */
export interface EventSink {
  /** False: no more before it has drained. */
  write(text: string): boolean;
  /** Ends it with a last word; what cannot be sent is thrown away after a while. */
  end(text: string): void;
}

export interface EventReaderOptions {
  readonly sink: EventSink;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Of all readers: events that one missed, and readers that were dropped. */
  readonly counters: { missed: number; dropped: number };
  /** Whether it may go on. */
  readonly isStill: () => boolean;
}

/** Events that wait for one who does not read: the oldest make room, and it is told how many it missed. */
export const MOST_WAITING = 500;
/** One who has read nothing for so long is dropped. */
export const PATIENCE_MS = 30_000;
/** A sign of life, so that the page knows silence from a broken connection. */
const ALIVE_MS = 5_000;
/** The page asks again, and is let in or not. */
export const RENEW = 'renew';

/** One who looks on, by Server-Sent Events. Of an event that changes while it waits, the last state is sent. */
export class EventReader {
  readonly #options: EventReaderOptions;
  readonly #waiting = new Map<string, LiveEvent>();
  /** At most as many as there are partitions. */
  readonly #resets = new Map<number, string>();
  #missed = 0;
  #blockedSince: number | undefined;
  #spokeAt = Number.NEGATIVE_INFINITY;

  constructor(options: EventReaderOptions) {
    this.#options = options;
  }

  /** @param recent what happened before, oldest first */
  begin(recent: readonly LiveEvent[]): void {
    this.#send(message('recent', recent));
  }

  add(event: LiveEvent): void {
    this.#waiting.set(event.id, event);
    if (this.#waiting.size <= MOST_WAITING) return;
    const oldest = this.#waiting.keys().next();
    if (!oldest.done) this.#waiting.delete(oldest.value);
    this.#missed += 1;
    this.#options.counters.missed += 1;
  }

  addReset(partition: number, why: string): void {
    this.#resets.set(partition, why);
  }

  drained(): void {
    this.#blockedSince = undefined;
  }

  /** Sends what waits. @returns whether to go on: one who does not read at all is dropped, and told. */
  flush(): boolean {
    const { now, counters, isStill } = this.#options;
    if (!isStill()) {
      this.end(RENEW);
      return false;
    }
    if (this.#blockedSince !== undefined) {
      if (now() - this.#blockedSince < PATIENCE_MS) return true;
      counters.dropped += 1;
      this.end('the page reads more slowly than things change');
      return false;
    }
    const text = this.#take();
    if (text !== '') this.#send(text);
    else if (now() - this.#spokeAt >= ALIVE_MS) this.#send(message('alive', {}));
    return true;
  }

  end(why: string): void {
    this.#waiting.clear();
    this.#options.sink.end(message('end', { why }));
  }

  #take(): string {
    let text = '';
    if (this.#resets.size > 0)
      text += message(
        'resets',
        [...this.#resets].map(([partition, why]) => ({ partition, why })),
      );
    if (this.#missed > 0) text += message('missed', { count: this.#missed });
    if (this.#waiting.size > 0) text += message('events', [...this.#waiting.values()]);
    this.#resets.clear();
    this.#waiting.clear();
    this.#missed = 0;
    return text;
  }

  #send(text: string): void {
    const { sink, now } = this.#options;
    this.#spokeAt = now();
    if (!sink.write(text)) this.#blockedSince = now();
  }
}

function message(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
