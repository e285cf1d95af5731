import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Namespace } from '../../api/namespace.ts';
import type { Preload } from '../../api/tier.ts';
import type { HotKeys } from '../analytics/hot-keys.ts';
import type { L1 } from '../cache/l1.ts';
import type { Reader } from '../cache/reader.ts';
import { messageOf } from '../errors.ts';
import type { HotSet, NamedKey } from './hot-set.ts';

export interface WarmUpOptions {
  readonly hotSet: Pick<HotSet, 'read' | 'report'>;
  readonly hot: HotKeys;
  readonly reader: Pick<Reader, 'preload'>;
  readonly l1: L1;
  readonly partitionOf: (namespace: string, key: string) => number;
  readonly namespaces: () => ReadonlyMap<string, Namespace>;
  readonly preload: () => Preload;
  /** Whether what is read now may stay in memory. */
  readonly ready: () => boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** From 0 up to, and without, 1. */
  readonly random: () => number;
  readonly log: Logger;
}

/** Mean time between two reports; spread by half, so that agents that start together do not report together. */
const REPORT_MS = 15_000;
const REPORTED_KEYS = 1_024;
/** 2,560 keys a second: the largest default memory in two seconds, and little to Redis. */
const BATCH = 64;
const BATCH_EVERY_MS = 25;
/** Of memory: room is left for what is asked for meanwhile. */
const SHARE_OF_L1 = 0.9;
/** How often is looked whether there is anything to preload. */
const LOOK_MS = 100;
/** Partitions that are reset by one cause are reset one after another. */
const SETTLE_MS = 500;
/** A preload that was interrupted goes on after half a second, then after twice as long each time: for a minute, in all. */
const MOST_TRIES = 8;

/**
 * Fills memory with what matters before it is asked for: at the start, and where partitions were dropped. Agents tell their
 * region what they are asked for most; one that has nothing reads that from Redis, hottest first, at a bounded rate, by the same
 * way as any lookup reads, so that nothing stale can come in by it.
 */
export class WarmUp {
  readonly counters = { preloaded: 0, reports: 0, failures: 0 };
  readonly #options: WarmUpOptions;
  /** Partitions to preload; all at the start. */
  #cold: Set<number> | 'all' = 'all';
  /** From when on they may be preloaded. */
  #coldFrom = Number.NEGATIVE_INFINITY;
  #tries = 0;
  #reportedAt: number;

  constructor(options: WarmUpOptions) {
    this.#options = options;
    this.#reportedAt = options.now();
  }

  /** A partition's entries were dropped. */
  noteReset(partition: number): void {
    // At the start all of them are, and nothing is gained by waiting.
    if (this.#cold === 'all') return;
    this.#coldFrom = this.#options.now() + SETTLE_MS;
    this.#tries = 0;
    this.#cold.add(partition);
  }

  /** Works until the signal. */
  start(signal: AbortSignal): void {
    void this.#every(
      signal,
      () => LOOK_MS,
      () => this.#look(signal),
    );
    void this.#every(
      signal,
      () => REPORT_MS * (0.5 + this.#options.random()),
      () => this.report(),
    );
  }

  /** Tells the region what this agent was asked for since it last did. Never throws. */
  async report(): Promise<void> {
    const { hotSet, hot, now, preload, log } = this.#options;
    const seconds = (now() - this.#reportedAt) / 1000;
    if (preload() === 'none') return;
    try {
      await hotSet.report(hot.top(REPORTED_KEYS), seconds);
      this.#reportedAt = now();
      this.counters.reports += 1;
    } catch (error) {
      this.counters.failures += 1;
      log.debug({ error: messageOf(error) }, 'hot keys could not be reported');
    }
  }

  async #every(signal: AbortSignal, ms: () => number, run: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await sleep(ms(), undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await run();
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { ready, now, preload, log } = this.#options;
    const cold = this.#cold;
    if (cold !== 'all' && cold.size === 0) return;
    if (!ready() || now() < this.#coldFrom) return;
    this.#cold = new Set();
    if (preload() === 'none') return;
    const startedAt = now();
    try {
      const { loaded, isWhole } = await this.#fill(cold, signal);
      if (loaded > 0) log.info({ entries: loaded, ms: Math.round(now() - startedAt) }, 'preloaded hot keys');
      if (isWhole) this.#tries = 0;
      else this.#again(cold);
    } catch (error) {
      this.counters.failures += 1;
      log.warn({ error: messageOf(error) }, 'hot keys could not be preloaded');
      this.#again(cold);
    }
  }

  /** What was interrupted goes on later; in the end lookups will have filled memory as they came. */
  #again(cold: ReadonlySet<number> | 'all'): void {
    const { now, random } = this.#options;
    if (this.#tries === MOST_TRIES) return;
    this.#cold = cold === 'all' || this.#cold === 'all' ? 'all' : new Set([...cold, ...this.#cold]);
    this.#coldFrom = now() + SETTLE_MS * 2 ** this.#tries * (0.5 + random());
    this.#tries += 1;
  }

  /** @returns how many entries it read, and whether nothing came between, such as a partition that was lost. */
  async #fill(
    cold: ReadonlySet<number> | 'all',
    signal: AbortSignal,
  ): Promise<{ loaded: number; isWhole: boolean }> {
    const { hotSet, l1, reader, namespaces, preload, partitionOf, ready } = this.#options;
    const most = Math.floor(l1.limits.maxEntries * SHARE_OF_L1);
    const isWanted = ({ namespace, key }: NamedKey) =>
      namespaces().has(namespace) &&
      (cold === 'all' || cold.has(partitionOf(namespace, key))) &&
      l1.weightOf(namespace, key) === undefined;
    const keys = (await hotSet.read(most, preload())).filter(isWanted);
    let loaded = 0;
    for (let at = 0; at < keys.length; at += BATCH) {
      if (!ready() || signal.aborted) return { loaded, isWhole: false };
      const batch = keys.slice(at, at + BATCH).flatMap(({ namespace, key }) => {
        const rules = namespaces().get(namespace);
        return rules === undefined ? [] : [{ rules, key }];
      });
      const found = await reader.preload(batch);
      loaded += found;
      this.counters.preloaded += found;
      await sleep(BATCH_EVERY_MS);
    }
    return { loaded, isWhole: true };
  }
}
