import type { Cluster, Redis } from 'ioredis';
import type { LoggedEvent } from '../../api/event.ts';
import type { ExplainResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { decodeEvent, PoisonedMessageError } from '../bus/event-codec.ts';
import { fromRedis } from '../errors.ts';

type Log = NonNullable<ExplainResponse['log']>;
type KeyEvent = Log['events'][number];

export interface LogScanRequest {
  /** Name of the log. */
  readonly log: string;
  readonly namespace: string;
  readonly key: string;
  /** That the entry has or had. */
  readonly tags: ReadonlySet<string>;
  /** Events to look through at most. */
  readonly most: number;
  /** Whether it shall go on, asked before each page. */
  readonly goOn: () => boolean;
}

/** Small enough for Redis and for this process to do something else between two of them. */
const PAGE = 200;
/** Events that are told. */
const MOST_EVENTS = 10;

/** Looks through a partition's log, newest event first, for what concerned one key. @throws RedisUnavailableError, RedisRefusedError */
export async function scanLog(client: () => Redis | Cluster, request: LogScanRequest): Promise<Log> {
  const { log, most, goOn } = request;
  const found: Log = { scanned: 0, complete: false, oldest: '', writes: 0, invalidations: 0, events: [] };
  let end = '+';
  while (found.scanned < most && goOn()) {
    const count = Math.min(PAGE, most - found.scanned);
    const page = await readPage(client(), log, end, count);
    for (const [id, fields] of page) {
      found.oldest = id;
      noteEvent(found, fields[1] ?? '', request);
    }
    found.scanned += page.length;
    if (page.length < count) return { ...found, complete: true };
    end = `(${found.oldest}`;
  }
  return found;
}

async function readPage(client: Redis | Cluster, log: string, end: string, count: number) {
  try {
    return await client.xrevrange(log, end, '-', 'COUNT', count);
  } catch (error) {
    throw fromRedis(error);
  }
}

function noteEvent(found: Log, json: string, request: LogScanRequest): void {
  // Most events concern other keys; looking for the name costs less than parsing.
  if (!json.includes(request.namespace)) return;
  const event = decoded(json);
  const touched = event === undefined ? undefined : touchedBy(event, request);
  if (event === undefined || touched === undefined) return;
  if (touched.effect === 'put') found.writes += 1;
  else if (touched.effect !== 'maybe_tag') found.invalidations += 1;
  if (found.events.length < MOST_EVENTS) found.events.push(toKeyEvent(event, touched));
}

function decoded(json: string): LoggedEvent | undefined {
  try {
    return decodeEvent(json);
  } catch (error) {
    // The feed passes over it as well, and counts it.
    if (error instanceof PoisonedMessageError) return undefined;
    throw error;
  }
}

interface Touched {
  readonly effect: 'put' | 'key' | 'tag' | 'namespace' | 'maybe_tag';
  readonly tag: string;
}

/** How an event concerns a key; undefined: not at all. */
function touchedBy(
  { op, keys, tags, affected_namespaces: namespaces }: LoggedEvent,
  { namespace, key, tags: known }: LogScanRequest,
): Touched | undefined {
  if (!namespaces.includes(namespace)) return undefined;
  if (keys.includes(key)) return { effect: op === 'put' ? 'put' : 'key', tag: '' };
  if (keys.length === 0 && tags.length === 0) return { effect: 'namespace', tag: '' };
  const tag = tags.find((one) => known.has(one));
  if (tag !== undefined) return { effect: 'tag', tag };
  const [first] = tags;
  return known.size > 0 || first === undefined ? undefined : { effect: 'maybe_tag', tag: first };
}

function toKeyEvent(event: LoggedEvent, { effect, tag }: Touched): KeyEvent {
  return {
    version: event.version,
    eventId: event.event_id,
    eventType: event.event_type,
    effect,
    tag,
    reason: event.reason ?? '',
    sourceNode: event.source_node,
    resourceId: event.resource_id,
    timestamp: event.timestamp,
    loggedAtUs: event.logged_at_us,
  };
}
