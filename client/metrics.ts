import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ClientHooks, NearStats } from './options.ts';

/** What of a client is read when it is scraped: an `EdgeCacheClient` is one. */
export interface MeasuredClient {
  readonly nearStats: NearStats | undefined;
}

/** Upper bounds in seconds: from an answer on the same node to the longest that a caller waits. */
const CALL_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

/**
 * Metrics of a client in your own Prometheus registry. Give `hooks` to the client (`on`), and the client to `observe` where it
 * has a near cache.
 */
export class ClientMetrics {
  /** To be given to the client, as `on`. */
  readonly hooks: Required<ClientHooks>;
  readonly #registers: Registry[];

  constructor(registry: Registry) {
    this.#registers = [registry];
    const calls = new Histogram({
      name: 'edgecache_client_call_duration_seconds',
      help: 'How long agents took to answer calls, the way there and back included.',
      labelNames: ['method'],
      buckets: CALL_BUCKETS,
      registers: this.#registers,
    });
    const loads = this.#counter('loads', 'Times that a loader ran, by why.', 'reason');
    const fills = this.#counter(
      'fill_failures',
      'Loaded values that could not be put into the cache.',
      'reason',
    );
    const stale = this.#counter(
      'stale_given',
      'Values that had ended, given because a loader was slow or failed.',
      'reason',
    );
    const refreshes = this.#counter(
      'refresh_failures',
      'Refreshes that nobody waited for, and that failed.',
      'reason',
    );
    this.hooks = {
      answered: (method, ms) => calls.observe({ method }, ms / 1000),
      load: (reason, namespace) => loads.inc({ cache_namespace: namespace, reason }),
      fillFailed: (namespace, reason) => fills.inc({ cache_namespace: namespace, reason }),
      staleGiven: (namespace, reason) => stale.inc({ cache_namespace: namespace, reason }),
      refreshFailed: (namespace) => refreshes.inc({ cache_namespace: namespace, reason: 'error' }),
    };
  }

  /** Tells of a client's near cache too. At most one client for each registry. */
  observe(client: MeasuredClient): void {
    const read = (name: keyof NearStats) => () => Number(client.nearStats?.[name] ?? 0);
    const counter = (name: string, help: string, value: () => number) => {
      new Counter({
        name: `edgecache_client_near_${name}_total`,
        help,
        registers: this.#registers,
        collect() {
          this.reset();
          this.inc(value());
        },
      });
    };
    counter('hits', 'Lookups answered in this process.', read('hits'));
    counter('misses', 'Lookups that the near cache could not answer.', read('misses'));
    counter('invalidated', 'Entries dropped because something changed.', read('invalidated'));
    counter('evicted', 'Entries dropped for room.', read('evicted'));
    counter(
      'resets',
      'Times that everything was dropped, because something may have been missed.',
      read('resets'),
    );
    const gauge = (name: string, help: string, value: () => number) => {
      new Gauge({
        name: `edgecache_client_near_${name}`,
        help,
        registers: this.#registers,
        collect() {
          this.set(value());
        },
      });
    };
    gauge('entries', 'Entries held in this process.', read('entries'));
    gauge('bytes', 'Bytes of entries held in this process.', read('bytes'));
    gauge(
      'lease_seconds',
      'What is left of the lease; 0: nothing is answered from here.',
      () => read('leaseMs')() / 1000,
    );
  }

  #counter(name: string, help: string, label: 'reason'): Counter<'cache_namespace' | 'reason'> {
    return new Counter({
      name: `edgecache_client_${name}_total`,
      help,
      labelNames: ['cache_namespace', label],
      registers: this.#registers,
    });
  }
}
