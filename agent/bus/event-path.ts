import type { Logger } from 'pino';
import type { LoggedEvent } from '../../api/event.ts';
import type { Namespace } from '../../api/namespace.ts';
import type { Analytics } from '../analytics/analytics.ts';
import type { Invalidator } from '../cache/invalidator.ts';
import type { L1 } from '../cache/l1.ts';
import type { Reader } from '../cache/reader.ts';
import type { Confirmations } from '../change/confirmations.ts';
import { messageOf } from '../errors.ts';
import type { L2 } from '../l2/l2.ts';
import type { ObservedMetrics } from '../metrics.ts';
import type { RecentDurations } from '../propagation.ts';
import type { AgentTracing } from '../tracing/agent-tracing.ts';
import type { AdaptiveTtl } from '../ttl/adaptive-ttl.ts';
import type { LiveEvents } from '../ui/live-events.ts';
import type { WarmUp } from '../warmup/warm-up.ts';
import type { Watchers } from '../watch/watchers.ts';
import type { Feed } from './feed.ts';
import type { Inbox, InboxItem, Lane } from './inbox.ts';
import type { Partition } from './partition.ts';

/** What an event passes on its way, and what has to know of it. */
export interface EventPathParts {
  readonly agentId: string;
  readonly namespaces: () => ReadonlyMap<string, Namespace>;
  readonly feed: Feed;
  readonly inbox: Inbox;
  readonly l1: L1;
  readonly l2: L2;
  readonly reader: Reader;
  readonly invalidator: Invalidator;
  readonly confirmations: Confirmations;
  readonly watchers: Watchers;
  readonly warmUp: WarmUp;
  readonly analytics: Analytics;
  readonly ttl: AdaptiveTtl;
  readonly propagation: RecentDurations;
  /** For people who look on; nothing where nobody may. */
  readonly live: LiveEvents | undefined;
  /** The same as a metric, in seconds. */
  readonly propagationMetric: ObservedMetrics['propagation'];
  /** Undefined: nothing is traced. */
  readonly tracing: AgentTracing | undefined;
  readonly log: Logger;
}

/** The way of an event through the agent: from its receipt through the inbox into memory, and back to its sender. */
export class EventPath {
  readonly #parts: EventPathParts;
  #applied = 0;

  constructor(parts: EventPathParts) {
    this.#parts = parts;
  }

  /** How many events were applied to memory. */
  get applied(): number {
    return this.#applied;
  }

  receive(partition: Partition, received: LoggedEvent): void {
    const { inbox, invalidator, namespaces } = this.#parts;
    const event = invalidator.lighten(received);
    const { critical, bulk } = lanesOf(event, namespaces());
    if (critical.length > 0) inbox.add('critical', { partition, event, namespaces: critical });
    if (bulk.length > 0) inbox.add('bulk', { partition, event, namespaces: bulk });
    if (event.confirm === undefined) return;
    // Behind both lanes: applied is applied everywhere.
    let open = 2;
    const passed = () => {
      open -= 1;
      if (open === 0) this.#acknowledge(partition.index, event);
    };
    inbox.afterApplied('critical', passed);
    inbox.afterApplied('bulk', passed);
  }

  apply({ partition, event, namespaces }: InboxItem): void {
    const { feed, l1, invalidator, analytics, ttl, watchers } = this.#parts;
    this.#applied += 1;
    const ageMs = feed.clock.since(event.logged_at_us);
    const before = l1.invalidations;
    invalidator.apply(partition.index, namespaces, event, ageMs);
    analytics.churn.note(event.event_type, l1.invalidations - before);
    partition.noteApplied(event.version);
    const { keys, tags, version, event_id: eventId } = event;
    for (const namespace of namespaces) {
      const rules = this.#parts.namespaces().get(namespace);
      if (rules !== undefined) ttl.noteChange(rules, event);
      watchers.invalidated({ namespace, keys, tags, version, eventId });
    }
    const trace =
      event.traceparent === undefined
        ? undefined
        : this.#parts.tracing?.applied(event, {
            partition: partition.index,
            namespaces,
            ageMs,
            dropped: l1.invalidations - before,
          });
    this.#parts.live?.note(partition.index, namespaces, event, ageMs);
    if (ageMs === undefined) return;
    this.#parts.propagation.add(ageMs);
    this.#parts.propagationMetric(ageMs / 1000, trace);
  }

  /** Events of a partition were lost: all that memory has of it may be old. */
  reset(partition: Partition): void {
    this.#parts.inbox.discard(partition);
    this.#forget(partition, 'events were lost');
  }

  /** More events than a lane holds: the partition's entries of that lane go instead. */
  overflow(partition: Partition, lane: Lane, dropped: readonly InboxItem[]): void {
    this.#parts.log.warn(
      { partition: partition.index, lane, dropped: dropped.length },
      'too many events: partition dropped instead',
    );
    this.#parts.feed.counters.resets += 1;
    this.#forget(partition, 'too many events', (rules) => rules.critical === (lane === 'critical'));
    for (const { event } of dropped) partition.noteApplied(event.version);
  }

  #forget({ index }: Partition, why: string, which?: (rules: Namespace) => boolean): void {
    const { l1, reader, ttl, warmUp, watchers } = this.#parts;
    l1.resetPartition(index, which);
    reader.forgetFlights(index);
    ttl.forget();
    warmUp.noteReset(index);
    watchers.reset(why);
    this.#parts.live?.noteReset(index, why);
  }

  /** Says that nothing on this node can answer with what was there before: neither L1 nor the near caches that follow it. */
  #acknowledge(partition: number, event: LoggedEvent): void {
    const settled = this.#parts.watchers.settled(event.affected_namespaces);
    if (settled === undefined) this.#sayApplied(partition, event);
    else void settled.then(() => this.#sayApplied(partition, event));
  }

  #sayApplied(partition: number, event: LoggedEvent): void {
    const { agentId, confirmations, l2, log } = this.#parts;
    const { confirm } = event;
    if (confirm === undefined) return;
    if (confirm === agentId) {
      confirmations.acknowledge(event.event_id, partition, agentId);
      return;
    }
    l2.acknowledge(partition, confirm, `${event.event_id} ${agentId}`).catch((error: unknown) => {
      // The sender waits for this agent's lease to end instead.
      log.debug({ error: messageOf(error) }, 'acknowledgement could not be sent');
    });
  }
}

/** Names for which an event is of interest, by how urgent it is. */
function lanesOf(event: LoggedEvent, namespaces: ReadonlyMap<string, Namespace>) {
  const critical: string[] = [];
  const bulk: string[] = [];
  for (const name of event.affected_namespaces) {
    const rules = namespaces.get(name);
    if (rules !== undefined) (rules.critical ? critical : bulk).push(name);
  }
  return { critical, bulk };
}
