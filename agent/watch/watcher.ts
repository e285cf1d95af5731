import type { WatchResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';

type Message = NonNullable<WatchResponse['kind']>;

/** Where a watcher's messages go. */
export interface WatchSink {
  /** False: no more before the watcher is told that it has drained. */
  write(response: WatchResponse): boolean;
  end(): void;
}

export interface WatcherOptions {
  readonly sink: WatchSink;
  /** None: all. */
  readonly namespaces: ReadonlySet<string> | undefined;
  /** Longest lease that it wants, in milliseconds; 0: none, it only looks on. */
  readonly leaseMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Messages that wait for a watcher that does not read. Beyond them it has to begin anew. */
const MAX_WAITING = 1_024;

/**
 * One who follows invalidations and may answer from what it holds while it has a lease. Messages keep their order: a
 * lease comes behind everything that was invalidated before it was given.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  #waiting: Message[] = [];
  #blocked = false;
  #closed = false;
  #grantedUntil = 0;
  #acknowledged = 0;
  readonly #barriers = new Map<number, () => void>();

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  get namespaces(): ReadonlySet<string> | undefined {
    return this.#options.namespaces;
  }

  /** Monotonic milliseconds after which it answers nothing any more from what it holds now, whatever becomes of it. */
  get grantedUntil(): number {
    return this.#grantedUntil;
  }

  /** Messages that wait for it to read. */
  get waiting(): number {
    return this.#waiting.length;
  }

  watches(namespace: string): boolean {
    return this.#options.namespaces?.has(namespace) ?? true;
  }

  send(message: Message): void {
    if (this.#closed) return;
    if (!this.#blocked && this.#waiting.length === 0) {
      this.#write(message);
      return;
    }
    this.#waiting.push(message);
    if (this.#waiting.length > MAX_WAITING) this.#startOver();
  }

  /**
   * Hands down a lease.
   * @param nonce of the request that the client counts it from; 0: its first one.
   * @param freshUntil until when this agent itself may answer from memory.
   */
  grant(nonce: number, freshUntil: number): void {
    const now = this.#options.now();
    const leaseMs = Math.max(0, Math.floor(Math.min(freshUntil - now, this.#options.leaseMs)));
    // The client counts from before it asked, which was before now.
    this.#grantedUntil = Math.max(this.#grantedUntil, now + leaseMs);
    this.send({ $case: 'lease', value: { leaseMs, nonce } });
  }

  /** Resolves when everything sent so far has been dropped by the client, or its lease is over. */
  async barrier(sequence: number): Promise<void> {
    if (this.#closed) return;
    const { now } = this.#options;
    const fencedAt = this.#grantedUntil;
    const acknowledged = new Promise<void>((resolve) => this.#barriers.set(sequence, resolve));
    this.send({ $case: 'barrier', value: { sequence } });
    // Rounded up: a timer that fires a fraction early would find a lease that still holds.
    const timer = setTimeout(() => this.#pass(sequence), Math.max(0, Math.ceil(fencedAt - now()) + 1));
    await acknowledged;
    clearTimeout(timer);
  }

  acknowledge(sequence: number): void {
    if (sequence <= this.#acknowledged) return;
    this.#acknowledged = sequence;
    for (const open of [...this.#barriers.keys()]) if (open <= sequence) this.#pass(open);
  }

  drained(): void {
    this.#blocked = false;
    const waiting = this.#waiting;
    let i = 0;
    for (; i < waiting.length && !this.#blocked; i++) {
      const message = waiting[i];
      if (message !== undefined) this.#write(message);
    }
    this.#waiting = waiting.slice(i);
  }

  /** The client has said that it holds nothing any more. */
  renounce(): void {
    this.#grantedUntil = 0;
    for (const open of [...this.#barriers.keys()]) this.#pass(open);
  }

  /** Nothing more can be sent. Barriers stay until the lease is over: the client may be alive behind a broken connection. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  end(): void {
    if (!this.#closed) this.#options.sink.end();
    this.close();
  }

  #pass(sequence: number): void {
    this.#barriers.get(sequence)?.();
    this.#barriers.delete(sequence);
  }

  /** Too much waits: all of it together means "drop what you hold", which is one message. Barriers count as before. */
  #startOver(): void {
    const barrier = this.#waiting.findLast(({ $case }) => $case === 'barrier');
    this.#waiting = [
      { $case: 'reset', value: { reason: 'the watcher reads more slowly than things change' } },
    ];
    if (barrier !== undefined) this.#waiting.push(barrier);
  }

  #write(kind: Message): void {
    if (!this.#options.sink.write({ kind })) this.#blocked = true;
  }
}
