import type { Registry } from 'prom-client';
import type { EdgeCacheServer } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { L2, L2Options } from '../l2/l2.ts';

/** Where an agent that traces differs from one that does not: its parts are made here, with spans. */
export interface AgentTracing {
  readonly buildL2: (next: ConstructorParameters<typeof L2>[0], options: L2Options) => L2;
  readonly serve: (calls: EdgeCacheServer) => EdgeCacheServer;
  readonly addMetrics: (registry: Registry) => void;
  /** Sends what waits, for so long at most. */
  readonly stop: (timeoutMs: number) => Promise<void>;
}
