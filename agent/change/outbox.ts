import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { AgentError, messageOf, RedisUnavailableError } from '../errors.ts';
import type { ChangeOutcome, ChangePart } from '../l2/l2.ts';
import { backoffMs } from '../redis/connections.ts';

export interface OutboxOptions {
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly send: (part: ChangePart) => Promise<ChangeOutcome>;
  readonly log: Logger;
  readonly random: () => number;
}

interface Waiting {
  readonly part: ChangePart;
  readonly bytes: number;
}

/**
 * Changes accepted while Redis is out of reach, and the unsent parts of changes that were half sent.
 * Each partition's parts keep their order; each is sent until Redis has it, once, by its event id.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #queues = new Map<number, Waiting[]>();
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

  /** Parts that have been sent from the queue since the start. */
  get sent(): number {
    return this.#sent;
  }

  /** Parts that Redis refused for good; each was logged as an error. */
  get refused(): number {
    return this.#refused;
  }

  /** Whether something waits for a partition: then what follows must wait behind it, or the order would turn. */
  holds(partition: number): boolean {
    return this.#queues.has(partition);
  }

  /** @throws AgentError EC_OUTBOX_FULL, when nothing of the change has been queued. */
  add(parts: readonly ChangePart[]): void {
    const waiting = parts.map((part) => ({ part, bytes: weigh(part) }));
    const bytes = waiting.reduce((sum, item) => sum + item.bytes, 0);
    const { maxItems, maxBytes } = this.#options;
    if (this.#items + parts.length > maxItems || this.#bytes + bytes > maxBytes) {
      throw new AgentError(
        'EC_OUTBOX_FULL',
        `Redis is out of reach and the outbox is full (${this.#items} of ${maxItems} changes, ${this.#bytes} of ${maxBytes} bytes); try again later`,
      );
    }
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
    return this.#items;
  }

  #push(item: Waiting): void {
    const { partition } = item.part;
    const queue = this.#queues.get(partition);
    if (queue !== undefined) {
      queue.push(item);
      return;
    }
    const fresh = [item];
    this.#queues.set(partition, fresh);
    void this.#run(partition, fresh);
  }

  async #run(partition: number, queue: Waiting[]): Promise<void> {
    for (let attempt = 0; !this.#stop.signal.aborted; ) {
      const [item] = queue;
      if (item === undefined) {
        this.#queues.delete(partition);
        return;
      }
      if (await this.#trySend(item.part)) {
        queue.shift();
        this.#items -= 1;
        this.#bytes -= item.bytes;
        attempt = 0;
        continue;
      }
      await delay(backoffMs(attempt, this.#options.random), undefined, { signal: this.#stop.signal }).catch(
        () => undefined,
      );
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

function weigh(part: ChangePart): number {
  const { put, body, keys } = part;
  const keyBytes = keys.reduce((sum, { key }) => sum + key.length, 0);
  return 256 + body.length + keyBytes + (put === undefined ? 0 : put.value.length + put.key.length);
}
