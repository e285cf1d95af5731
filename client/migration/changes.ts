import { LIMITS } from '../../api/limits.ts';
import type { Changed, ConfirmOptions, EdgeCacheClient, InvalidateScope } from '../edge-cache-client.ts';
import { RedisUnavailableError } from '../errors.ts';
import { type MigrationHooks, tell } from './hooks.ts';
import { messageOf } from './tally.ts';

/** What an invalidation concerns. */
export interface Scope {
  readonly keys?: readonly string[];
  readonly tags?: readonly string[];
}

export interface ChangesOptions {
  readonly client: EdgeCacheClient;
  readonly namespace: string;
  /** Keys and tags that may wait. */
  readonly most: number;
  readonly hooks: MigrationHooks;
}

/** Tells Edge Cache what has changed: at once and for certain, or in the background. */
export class Changes {
  readonly #options: ChangesOptions;
  /** What waits to be sent. A key that changes again meanwhile is sent once. */
  readonly #keys = new Set<string>();
  readonly #tags = new Set<string>();
  /** Everything is to be invalidated, whatever waits besides. */
  #whole = false;
  #sending: Promise<void> | undefined;
  #sent = 0;
  #failed = 0;
  #dropped = 0;
  #lastError = '';

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  /** Returns when every agent has been told, or the change is queued. @throws EdgeCacheError */
  async send({ keys = [], tags = [] }: Scope, confirm: ConfirmOptions): Promise<void> {
    if (keys.length + tags.length === 0) return;
    await this.#invalidate({ keys, tags }, confirm, keys.length + tags.length);
  }

  /** Nobody waits for it, and nobody hears of its failure but the counters. */
  sendLater({ keys = [], tags = [] }: Scope): void {
    this.#queue(this.#keys, keys);
    this.#queue(this.#tags, tags);
    this.#begin();
  }

  /** As {@link sendLater}, for the whole namespace. */
  forgetAllLater(): void {
    this.#whole = true;
    this.#begin();
  }

  /**
   * Takes everything of the namespace out of Edge Cache; returns when no agent can answer with it any more.
   * @throws EdgeCacheError
   */
  async forgetAll(): Promise<void> {
    await this.drained();
    const { state } = await this.#invalidate({}, { confirm: true }, 1);
    if (state !== 'queued') return;
    const { namespace } = this.#options;
    throw new RedisUnavailableError(
      `namespace ${namespace} will be invalidated when Redis is back, and is not yet`,
    );
  }

  /** Resolves when nothing waits to be sent. */
  async drained(): Promise<void> {
    while (this.#sending !== undefined) await this.#sending;
  }

  get report() {
    return {
      sent: this.#sent,
      failed: this.#failed,
      dropped: this.#dropped,
      waiting: this.#keys.size + this.#tags.size + (this.#whole ? 1 : 0),
      lastError: this.#lastError,
    };
  }

  #queue(waiting: Set<string>, items: readonly string[]): void {
    const room = this.#options.most - this.#keys.size - this.#tags.size;
    const fresh = items.filter((item) => !waiting.has(item));
    for (const item of fresh.slice(0, Math.max(0, room))) waiting.add(item);
    const lost = fresh.length - Math.max(0, room);
    if (lost <= 0) return;
    this.#dropped += lost;
    const { hooks, namespace } = this.#options;
    tell(() => hooks.changesDropped?.(namespace, lost));
  }

  #begin(): void {
    this.#sending ??= this.#sendWaiting().finally(() => {
      this.#sending = undefined;
      // What came after the last look at what waits.
      if (this.#isWaiting()) this.#begin();
    });
  }

  #isWaiting(): boolean {
    return this.#whole || this.#keys.size + this.#tags.size > 0;
  }

  async #sendWaiting(): Promise<void> {
    while (this.#isWaiting()) {
      // Not within the turn of whoever changed something.
      await new Promise((resolve) => setImmediate(resolve));
      const [scope, count] = this.#take();
      await this.#invalidate(scope, {}, count).catch(() => undefined);
    }
  }

  #take(): [InvalidateScope, number] {
    if (this.#whole) {
      this.#whole = false;
      // What waited for it is covered by it.
      const covered = this.#keys.size + this.#tags.size;
      this.#keys.clear();
      this.#tags.clear();
      return [{}, covered + 1];
    }
    const keys = [...this.#keys].slice(0, LIMITS.scopeItems);
    const tags = [...this.#tags].slice(0, LIMITS.scopeItems);
    for (const key of keys) this.#keys.delete(key);
    for (const tag of tags) this.#tags.delete(tag);
    return [{ keys, tags }, keys.length + tags.length];
  }

  async #invalidate(scope: InvalidateScope, confirm: ConfirmOptions, count: number): Promise<Changed> {
    const { client, namespace, hooks } = this.#options;
    try {
      const changed = await client.invalidate(namespace, { ...scope, reason: 'migration' }, confirm);
      this.#sent += count;
      return changed;
    } catch (error) {
      this.#failed += count;
      this.#lastError = messageOf(error);
      tell(() => hooks.changeFailed?.(namespace, error));
      throw error;
    }
  }
}
