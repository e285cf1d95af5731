import type { WatchResponse_Invalidation } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { Watcher, type WatcherOptions } from './watcher.ts';

export interface WatchersOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Until when this agent may answer from memory in all of these namespaces; none: in all that it has. */
  readonly freshUntil: (namespaces: ReadonlySet<string> | undefined) => number;
}

/** What one applied event invalidates in one namespace. */
export type Invalidated = WatchResponse_Invalidation;

/** Those who look on learn this often that nothing has been kept from them. */
const SIGN_OF_LIFE_MS = 1_000;

/**
 * Everybody who follows this agent's invalidations. Each is told of them in the order in which L1 drops them, so its lease
 * proves for what it holds what the agent's own proves for L1.
 */
export class Watchers {
  readonly #options: WatchersOptions;
  readonly #watchers = new Set<Watcher>();
  /** Gone without a word: they may be alive, and answer until their leases end. */
  readonly #lost = new Set<Watcher>();
  readonly #timer: NodeJS.Timeout;
  #sequence = 0;
  #stopping = false;

  constructor(options: WatchersOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#signOfLife(), SIGN_OF_LIFE_MS);
    this.#timer.unref();
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** Watchers whose leases hold now. */
  get leased(): number {
    const now = this.#options.now();
    return [...this.#watchers].filter(({ grantedUntil }) => grantedUntil > now).length;
  }

  add(options: Omit<WatcherOptions, 'now'>): Watcher {
    const watcher = new Watcher({ ...options, now: this.#options.now });
    this.#watchers.add(watcher);
    this.renew(watcher, 0);
    return watcher;
  }

  /** Takes one off; `renounced` where it has said itself that it holds nothing any more. */
  remove(watcher: Watcher, renounced: boolean): void {
    if (!this.#watchers.delete(watcher)) return;
    if (renounced) watcher.renounce();
    watcher.close();
    if (watcher.grantedUntil > this.#options.now()) this.#lost.add(watcher);
  }

  renew(watcher: Watcher, nonce: number): void {
    const { now, freshUntil } = this.#options;
    watcher.grant(nonce, this.#stopping ? now() : freshUntil(watcher.namespaces));
  }

  invalidated(invalidation: Invalidated): void {
    for (const watcher of this.#watchers) {
      if (watcher.watches(invalidation.namespace))
        watcher.send({ $case: 'invalidation', value: invalidation });
    }
  }

  /** Completeness was lost: what they hold may be old. */
  reset(reason: string): void {
    for (const watcher of this.#watchers) watcher.send({ $case: 'reset', value: { reason } });
  }

  /**
   * Resolves when no watcher of these namespaces can answer with what they were told before to drop; nothing where
   * nobody has to be waited for.
   */
  settled(namespaces: readonly string[]): Promise<unknown> | undefined {
    const now = this.#options.now();
    const open: Promise<void>[] = [];
    const concerned = (watcher: Watcher) =>
      watcher.grantedUntil > now && namespaces.some((namespace) => watcher.watches(namespace));
    this.#sequence += 1;
    for (const watcher of this.#watchers) if (concerned(watcher)) open.push(watcher.barrier(this.#sequence));
    for (const watcher of this.#lost) {
      if (watcher.grantedUntil <= now) this.#lost.delete(watcher);
      else if (concerned(watcher)) open.push(delay(watcher.grantedUntil - now));
    }
    return open.length === 0 ? undefined : Promise.all(open);
  }

  /** Gives no more leases, and resolves when none is left: only then may nobody wait for this agent any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    this.reset('the agent stops');
    const now = this.#options.now();
    this.#sequence += 1;
    const open = [...this.#watchers]
      .filter(({ grantedUntil }) => grantedUntil > now)
      .map((watcher) => watcher.barrier(this.#sequence));
    for (const { grantedUntil } of this.#lost) if (grantedUntil > now) open.push(delay(grantedUntil - now));
    await Promise.all(open);
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }

  #signOfLife(): void {
    const now = this.#options.now();
    for (const watcher of this.#watchers) {
      if (watcher.grantedUntil <= now && watcher.waiting === 0)
        watcher.send({ $case: 'lease', value: { leaseMs: 0, nonce: 0 } });
    }
    for (const watcher of this.#lost) if (watcher.grantedUntil <= now) this.#lost.delete(watcher);
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.ceil(ms) + 1));
}
