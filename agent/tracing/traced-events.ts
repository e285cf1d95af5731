import { type HrTime, type SpanContext, SpanKind, TraceFlags, type Tracer } from '@opentelemetry/api';
import type { LoggedEvent } from '../../api/event.ts';
import type { ChangeOutcome, ChangePart } from '../l2/l2.ts';
import type { TraceIds } from '../metrics/call-durations.ts';
import type { Applied } from './agent-tracing.ts';
import { contextOf, parseTraceparent } from './traceparent.ts';
import { idsOf } from './tracing.ts';

export interface TracedEventsOptions {
  readonly tracer: Tracer;
  readonly nodeId: string;
  /** Runs what belongs to no request. */
  readonly outside: <T>(run: () => T) => T;
}

/** At the end of an event's JSON, where the agent has written it: what its data says is not meant. */
const TRACEPARENT_OF_BODY = /"traceparent":"([0-9a-f-]{55})"(?:,"confirm":"[^"]*")?\}$/;

/**
 * Spans of what a change sets off elsewhere and later. Each is a child of the call that made the change, so that it is in
 * its trace, and linked to it as well, because that call has ended long before.
 */
export class TracedEvents {
  readonly #options: TracedEventsOptions;

  constructor(options: TracedEventsOptions) {
    this.#options = options;
  }

  /** This agent has applied an event: how long that took from the log, and from the change itself. */
  applied(event: LoggedEvent, { partition, namespaces, ageMs, dropped }: Applied): TraceIds | undefined {
    const parent = parseTraceparent(event.traceparent ?? '');
    if (parent === undefined) return undefined;
    const now = wallMs();
    const span = this.#start('invalidate', parent, now - (ageMs ?? 0), {
      'edgecache.event_id': event.event_id,
      'edgecache.event_type': event.event_type,
      'edgecache.namespaces': [...namespaces],
      'edgecache.partition': partition,
      'edgecache.entries_dropped': dropped,
      ...(ageMs === undefined ? {} : { 'edgecache.propagation_ms': ageMs }),
      // By two machines' clocks, and with the time that it waited for Redis.
      'edgecache.since_change_ms': Math.max(0, now - event.timestamp * 1000),
    });
    span.end(hrTime(now));
    return (span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0 ? undefined : idsOf(span);
  }

  /** Sends a change that had to wait. Its own tries while Redis is away are no spans: they may be many. */
  async send(part: ChangePart, change: () => Promise<ChangeOutcome>): Promise<ChangeOutcome> {
    const { outside } = this.#options;
    const [, traceparent = ''] = TRACEPARENT_OF_BODY.exec(part.body) ?? [];
    const parent = parseTraceparent(traceparent);
    if (parent === undefined) return outside(change);
    const since = wallMs();
    const outcome = await outside(change);
    const span = this.#start('send queued change', parent, since, {
      'edgecache.event_id': part.eventId,
      'edgecache.partition': part.partition,
      'edgecache.outcome': outcome.outcome,
      'db.system': 'redis',
      'db.operation.name': 'change',
    });
    span.end();
    return outcome;
  }

  #start(
    name: string,
    parent: SpanContext,
    startMs: number,
    attributes: Readonly<Record<string, string | number | string[]>>,
  ) {
    const { tracer, nodeId } = this.#options;
    const options = {
      kind: SpanKind.CONSUMER,
      startTime: hrTime(startMs),
      links: [{ context: parent }],
      attributes: { 'edgecache.node': nodeId, ...attributes },
    };
    return tracer.startSpan(name, options, contextOf(parent));
  }
}

/** Milliseconds since 1970, with fractions. */
function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

/** A number alone would be taken for one of the monotonic clock where it is of before this process. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
