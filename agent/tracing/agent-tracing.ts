import type { Metadata } from '@grpc/grpc-js';
import type { Registry } from 'prom-client';
import type { LoggedEvent } from '../../api/event.ts';
import type { EdgeCacheServer } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { LookupStreamOptions } from '../grpc/lookup-stream.ts';
import type { ChangeOutcome, ChangePart, L2, L2Options } from '../l2/l2.ts';
import type { CallDurations, TraceIds } from '../metrics/call-durations.ts';

export type AnswerBatch = LookupStreamOptions['answer'];

/** How an event was applied to memory. */
export interface Applied {
  readonly partition: number;
  readonly namespaces: readonly string[];
  /** Since it was logged; undefined where that is not known. */
  readonly ageMs: number | undefined;
  /** Entries that it took out of memory. */
  readonly dropped: number;
}

/** Where an agent that traces differs from one that does not: its parts are made here, with spans. */
export interface AgentTracing {
  readonly buildL2: (next: ConstructorParameters<typeof L2>[0], options: L2Options) => L2;
  readonly serve: (calls: EdgeCacheServer) => EdgeCacheServer;
  /** Answers the batches of a Lookup stream. @param metadata of the stream */
  readonly lookups: (metadata: Metadata, answer: AnswerBatch) => AnswerBatch;
  /** @param calls get the traced ones as exemplars */
  readonly addMetrics: (registry: Registry, calls: CallDurations) => void;
  /** Sends changes that had to wait. */
  readonly queued: (l2: L2) => (part: ChangePart) => Promise<ChangeOutcome>;
  /** The span that is answered now, where its trace is sampled. */
  readonly traceparent: () => string | undefined;
  /** An event of a trace was applied; undefined where this agent does not sample it. */
  readonly applied: (event: LoggedEvent, how: Applied) => TraceIds | undefined;
  /** Sends what waits, for so long at most. */
  readonly stop: (timeoutMs: number) => Promise<void>;
}
