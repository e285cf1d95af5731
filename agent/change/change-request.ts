import { InvalidInputError, parseOrThrow } from '../../api/errors.ts';
import { type CacheEvent, eventSchema } from '../../api/event.ts';
import { newEventId } from '../../api/event-id.ts';

/** What is the same for every change. */
export interface EventFields {
  readonly eventId: string;
  readonly eventType: string;
  readonly resourceId: string;
  /** A JSON object, or empty for none. */
  readonly dataJson: string;
  /** Seconds since 1970; 0: now. */
  readonly timestamp: number;
  readonly sourceNode: string;
  readonly affectedNamespaces: readonly string[];
  readonly keys: readonly string[];
  readonly tags: readonly string[];
  readonly reason: string;
}

export interface EventDefaults {
  readonly nodeId: string;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** The span that makes the change, where its trace is sampled. */
  readonly traceparent?: string | undefined;
}

/** Checks an event and fills in what its sender left out. @throws InvalidInputError */
export function completeEvent(fields: EventFields, defaults: EventDefaults): CacheEvent {
  return parseOrThrow(
    eventSchema,
    {
      event_id: fields.eventId || newEventId(defaults.wallClock()),
      event_type: fields.eventType || 'manual_invalidation',
      resource_id: fields.resourceId,
      data: parseData(fields.dataJson),
      timestamp: fields.timestamp || defaults.wallClock() / 1000,
      source_node: fields.sourceNode || defaults.nodeId,
      affected_namespaces: [...new Set(fields.affectedNamespaces)],
      keys: [...new Set(fields.keys)],
      tags: [...new Set(fields.tags)],
      ...(fields.reason === '' ? {} : { reason: fields.reason }),
      ...(defaults.traceparent === undefined ? {} : { traceparent: defaults.traceparent }),
    },
    'event',
  );
}

const MAX_DATA_BYTES = 64 * 1024;

function parseData(json: string): unknown {
  if (json === '') return {};
  const fail = (given: string, remedy: string) =>
    new InvalidInputError('event', [{ path: 'data_json', given, remedy }]);
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_DATA_BYTES) throw fail(`${bytes} bytes`, `must be at most ${MAX_DATA_BYTES} bytes`);
  try {
    const data: unknown = JSON.parse(json);
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) return data;
  } catch {
    throw fail(JSON.stringify(json.slice(0, 60)), 'must be a JSON object');
  }
  throw fail(JSON.stringify(json.slice(0, 60)), 'must be a JSON object, such as {"gpu":"gpu_123"}');
}
