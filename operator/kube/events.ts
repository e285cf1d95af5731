import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { messageOf } from '../errors.ts';
import type { KubeClient } from './client.ts';
import { microTime } from './lease.ts';
import type { KubeObject } from './object.ts';
import { EVENTS, pathOf } from './resources.ts';

export interface EventText {
  readonly type: 'Normal' | 'Warning';
  /** One unique word in CamelCase. */
  readonly reason: string;
  /** What the operator was doing. */
  readonly action: string;
  readonly note: string;
}

interface Series {
  readonly name: string;
  count: number;
  lastSentAt: number;
}

/** The API server keeps events for an hour; a repeat after this long is news again. */
const SERIES_MS = 30 * 60_000;
/** A repeat within this time is counted, and sent with a later one. */
const QUIET_MS = 60_000;
const NOTE_LENGTH = 1024;
const NANOS_PER_MS = 1_000_000;

/** Tells a person, on the tier itself, what happened. A failure to do so is logged and changes nothing. */
export class EventRecorder {
  readonly #client: KubeClient;
  readonly #logger: Logger;
  readonly #instance: string;
  readonly #series = new LRUCache<string, Series>({ max: 4_096, ttl: SERIES_MS });
  #lastSuffix = 0n;
  readonly #sending = new Set<Promise<void>>();

  constructor(client: KubeClient, instance: string, logger: Logger) {
    this.#client = client;
    this.#instance = instance;
    this.#logger = logger;
  }

  record(about: KubeObject, event: EventText): void {
    const id = [about.metadata.uid, event.type, event.reason, event.note].join('\n');
    const series = this.#series.get(id);
    if (series === undefined) this.#send(this.#create(id, about, event));
    else this.#repeat(about, series);
  }

  /** Resolves when all that was recorded has been sent or given up. */
  async flush(): Promise<void> {
    await Promise.all(this.#sending);
  }

  #repeat(about: KubeObject, series: Series): void {
    series.count += 1;
    if (Date.now() - series.lastSentAt < QUIET_MS) return;
    series.lastSentAt = Date.now();
    const namespace = about.metadata.namespace;
    this.#send(
      this.#client.json({
        method: 'PATCH',
        path: pathOf(EVENTS, { namespace, name: series.name }),
        contentType: 'application/merge-patch+json',
        body: { series: { count: series.count, lastObservedTime: microTime() } },
      }),
    );
  }

  #create(id: string, about: KubeObject, event: EventText): Promise<unknown> {
    const { name, namespace, uid, resourceVersion } = about.metadata;
    const eventName = `${name}.${this.#nextSuffix()}`;
    this.#series.set(id, { name: eventName, count: 1, lastSentAt: Date.now() });
    return this.#client.create(EVENTS, {
      apiVersion: EVENTS.apiVersion,
      kind: EVENTS.kind,
      metadata: { name: eventName, ...(namespace === undefined ? {} : { namespace }) },
      type: event.type,
      reason: event.reason,
      action: event.action,
      note: event.note.slice(0, NOTE_LENGTH),
      eventTime: microTime(),
      reportingController: 'edgecache.dev/operator',
      reportingInstance: this.#instance,
      regarding: { apiVersion: about.apiVersion, kind: about.kind, name, namespace, uid, resourceVersion },
    });
  }

  /** Grows: kubectl describe shows events of this API in the order of their names, not of their times. */
  #nextSuffix(): string {
    const random = BigInt(Math.floor(Math.random() * NANOS_PER_MS));
    const now = BigInt(Date.now()) * BigInt(NANOS_PER_MS) + random;
    this.#lastSuffix = now > this.#lastSuffix ? now : this.#lastSuffix + 1n;
    return this.#lastSuffix.toString(16).padStart(16, '0');
  }

  #send(request: Promise<unknown>): void {
    const sent = request.then(
      () => undefined,
      (error: unknown) => this.#logger.warn({ error: messageOf(error) }, 'event not recorded'),
    );
    this.#sending.add(sent);
    void sent.finally(() => this.#sending.delete(sent));
  }
}
