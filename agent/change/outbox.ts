import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { AgentError, messageOf, RedisUnavailableError } from '../errors.ts';
import type { ChangeOutcome, ChangePart } from '../l2/l2.ts';
import { backoffMs } from '../redis/connections.ts';
import type { OutboxJournal } from './outbox-journal.ts';
import { QueuedScopes } from './queued-scopes.ts';

export interface OutboxOptions {
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly send: (part: ChangePart) => Promise<ChangeOutcome>;
  readonly log: Logger;
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Without one, what waits is lost with the process. */
  readonly journal?: OutboxJournal;
}

/** What waits for one partition, in order. */
interface Queue {
  readonly items: Waiting[];
  readonly scopes: QueuedScopes;
  /** Ends the pause before the next try. */
  wake: () => void;
}

interface Waiting {
  readonly part: ChangePart;
  readonly bytes: number;
  readonly since: number;
}

/**
 * Changes accepted while Redis is out of reach, and the unsent parts of changes that were half sent.
 * Each partition's parts keep their order; each is sent until Redis has it, once, by its event id.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #queues = new Map<number, Queue>();
  readonly #stop = new AbortController();
  #items = 0;
  #bytes = 0;
  #sent = 0;
  #refused = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#items;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How long the first in line has waited; 0 where nothing waits. What an earlier process left counts from the start of this one. */
  get oldestAgeMs(): number {
    let since = Number.POSITIVE_INFINITY;
    for (const { items } of this.#queues.values()) since = Math.min(since, items[0]?.since ?? since);
    return since === Number.POSITIVE_INFINITY ? 0 : this.#options.now() - since;
  }

  /** Parts that have been sent from the queue since the start. */
  get sent(): number {
    return this.#sent;
  }

  /** Parts that Redis refused for good; each was logged as an error. */
  get refused(): number {
    return this.#refused;
  }

  /** Takes up what an earlier process could not send. */
  start(): void {
    const left = this.#options.journal?.load() ?? [];
    if (left.length > 0)
      this.#options.log.info({ waiting: left.length }, 'sending changes that an earlier run had queued');
    this.#items += left.length;
    const since = this.#options.now();
    for (const part of left) {
      const bytes = weigh(part);
      this.#bytes += bytes;
      this.#push({ part, bytes, since });
    }
  }

  /** Whether something waits for a partition: then what follows must wait behind it, or the order would turn. */
  holds(partition: number): boolean {
    return this.#queues.has(partition);
  }

  /** Whether a change that waits makes an entry old: Redis does not know yet, but this agent does. */
  covers(partition: number, namespace: string, key: string, tags: readonly string[]): boolean {
    return this.#queues.get(partition)?.scopes.covers(namespace, key, tags) ?? false;
  }

  /** A partition's master answers again: what waits for it need not wait for the next try. */
  wake(partition: number): void {
    this.#queues.get(partition)?.wake();
  }

  /** @throws AgentError EC_OUTBOX_FULL, when nothing of the change has been queued. */
  add(parts: readonly ChangePart[]): void {
    const since = this.#options.now();
    const waiting = parts.map((part) => ({ part, bytes: weigh(part), since }));
    const bytes = waiting.reduce((sum, item) => sum + item.bytes, 0);
    const { maxItems, maxBytes } = this.#options;
    if (this.#items + parts.length > maxItems || this.#bytes + bytes > maxBytes) {
      throw new AgentError(
        'EC_OUTBOX_FULL',
        `Redis is out of reach and the outbox is full (${this.#items} of ${maxItems} changes, ${this.#bytes} of ${maxBytes} bytes); try again later`,
      );
    }
    this.#options.journal?.add(parts);
    this.#items += parts.length;
    this.#bytes += bytes;
    for (const item of waiting) this.#push(item);
  }

  /** Sends what it can until the deadline; resolves to the number of parts that are left. */
  async drain(timeoutMs: number): Promise<number> {
    const deadline = AbortSignal.timeout(timeoutMs);
    while (this.#items > 0 && !deadline.aborted)
      await delay(10, undefined, { signal: deadline }).catch(() => undefined);
    this.#stop.abort();
    for (const queue of this.#queues.values()) queue.wake();
    this.#options.journal?.close();
    return this.#items;
  }

  #push(item: Waiting): void {
    const { partition } = item.part;
    const queue = this.#queues.get(partition);
    if (queue !== undefined) {
      queue.items.push(item);
      queue.scopes.add(item.part);
      return;
    }
    const fresh: Queue = { items: [item], scopes: new QueuedScopes(), wake: () => undefined };
    fresh.scopes.add(item.part);
    this.#queues.set(partition, fresh);
    void this.#run(partition, fresh);
  }

  async #run(partition: number, queue: Queue): Promise<void> {
    for (let attempt = 0; !this.#stop.signal.aborted; ) {
      const [item] = queue.items;
      if (item === undefined) {
        this.#queues.delete(partition);
        return;
      }
      const sent = await this.#trySend(item.part);
      if (this.#stop.signal.aborted) return;
      if (sent) {
        queue.items.shift();
        queue.scopes.remove(item.part);
        this.#options.journal?.done(item.part);
        this.#items -= 1;
        this.#bytes -= item.bytes;
        attempt = 0;
        continue;
      }
      await pause(queue, backoffMs(attempt, this.#options.random));
      attempt += 1;
    }
  }

  async #trySend(part: ChangePart): Promise<boolean> {
    const { send, log } = this.#options;
    try {
      await send(part);
      this.#sent += 1;
      return true;
    } catch (error) {
      if (error instanceof RedisUnavailableError) return false;
      this.#refused += 1;
      log.error(
        { eventId: part.eventId, partition: part.partition, error: messageOf(error) },
        'a queued change was refused',
      );
      return true;
    }
  }
}

function pause(queue: Queue, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    queue.wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

function weigh(part: ChangePart): number {
  const { put, body, keys } = part;
  const keyBytes = keys.reduce((sum, { key }) => sum + key.length, 0);
  return 256 + body.length + keyBytes + (put === undefined ? 0 : put.value.length + put.key.length);
}
