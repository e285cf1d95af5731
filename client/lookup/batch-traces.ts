import type { Traces } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { type LookupBatch, OwnBatch, SharedBatch } from './lookup-batch.ts';

/** Sampled traces that the lookups of a batch belong to; undefined where there are none. */
export function tracesOf(batch: LookupBatch): Traces | undefined {
  if (batch instanceof OwnBatch) {
    const traceparent = batch.trace?.traceparent;
    return traceparent === undefined ? undefined : { traces: [{ traceparent, places: [] }] };
  }
  if (!(batch instanceof SharedBatch)) return undefined;
  const traces: Traces['traces'] = [];
  batch.lookups.forEach(({ trace }, place) => {
    const traceparent = trace?.traceparent;
    if (traceparent !== undefined) traces.push({ traceparent, places: [place] });
  });
  return traces.length === 0 ? undefined : { traces };
}
