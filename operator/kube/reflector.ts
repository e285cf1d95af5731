import type { Logger } from 'pino';
import { isGone, KubeError, messageOf, WatchGoneError } from '../errors.ts';
import type { KubeClient, Query } from './client.ts';
import { Backoff, delay } from './delay.ts';
import { asKubeObject, fieldAt, type KubeObject, keyOf } from './object.ts';
import { pathOf, type Resource } from './resources.ts';

/** What changed: the object as it is now (undefined: it is gone), and as it was before. */
export type ChangeHandler = (
  key: string,
  now: KubeObject | undefined,
  before: KubeObject | undefined,
) => void;

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly logger: Logger;
  /** Must not throw and must not wait: put a key into a queue. */
  readonly onChange: ChangeHandler;
  /** Left out: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string;
  /** Asks for names and labels only: a Node's status is large and changes often. */
  readonly metadataOnly?: boolean;
  readonly onRelist?: (kind: string) => void;
  readonly timing?: Partial<ReflectorTiming>;
}

export interface ReflectorTiming {
  /**
   * Longer silence means a dead connection. Measured on 1.36: bookmarks come every 60 s, but the first one of a
   * watch only after 60 or 120 s; with 75 s, a quiet watch began anew for ever. TCP keep-alive (30 s, from the
   * client library) finds most dead connections sooner.
   */
  readonly silenceMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** A watch that lived this long was a good one: the backoff starts anew. */
  readonly healthyMs: number;
  readonly pageSize: number;
}

const TIMING: ReflectorTiming = {
  silenceMs: 135_000,
  backoffBaseMs: 800,
  backoffMaxMs: 30_000,
  healthyMs: 60_000,
  pageSize: 500,
};

const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';
const METADATA_ONE = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';

class SilenceError extends Error {}

/**
 * Keeps a copy of all objects of a kind: lists them, then follows a watch, and begins anew where that breaks.
 *
 * Written anew because the client library's informer asks for no bookmarks and no pages, reconnects
 * every half minute and stops for good at most errors (kubernetes.md A3).
 */
export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #timing: ReflectorTiming;
  readonly #backoff: Backoff;
  readonly #store = new Map<string, KubeObject>();
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;
  #resourceVersion: string | undefined;
  #lastContact = Date.now();
  #relists = 0;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#backoff = new Backoff(this.#timing.backoffBaseMs, this.#timing.backoffMaxMs);
  }

  get kind(): string {
    return this.#options.resource.kind;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves after the first complete list. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Time since the API server last said anything, a bookmark included. */
  get silentForMs(): number {
    return Date.now() - this.#lastContact;
  }

  /** What a watch would go on from; undefined where only a list helps. */
  get resourceVersion(): string | undefined {
    return this.#resourceVersion;
  }

  get relists(): number {
    return this.#relists;
  }

  get size(): number {
    return this.#store.size;
  }

  get(key: string): KubeObject | undefined {
    return this.#store.get(key);
  }

  values(): IterableIterator<KubeObject> {
    return this.#store.values();
  }

  /** Follows the kind until the signal; never throws. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined) await this.#list(signal);
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error, signal);
      }
    }
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    if (error instanceof SilenceError) {
      // Ordinary: an API server sends no bookmarks for a kind of which it has seen no event since it started.
      // Whether the connection is dead or the kind quiet, watching anew from the same version tells.
      logger.debug({ kind: this.kind }, error.message);
      return;
    }
    if (isGone(error)) {
      // Not a failure of anyone: the server keeps only so much history. But never in a tight loop.
      this.#resourceVersion = undefined;
      logger.info({ kind: this.kind }, 'history is gone; listing anew');
    }
    const retryAfterMs = error instanceof KubeError ? error.retryAfterMs : undefined;
    const waitMs = Math.max(this.#backoff.next(), retryAfterMs ?? 0);
    if (!isGone(error)) logger.warn({ kind: this.kind, waitMs, error: messageOf(error) }, 'watch failed');
    await delay(waitMs, signal);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const fresh = new Map<string, KubeObject>();
    let continueToken: string | undefined;
    let resourceVersion: string | undefined;
    do {
      const page = await this.#options.client.json({
        path: this.#path(),
        query: { ...this.#selector(), limit: this.#timing.pageSize, continue: continueToken },
        ...(this.#options.metadataOnly ? { accept: METADATA_LIST } : {}),
        signal,
      });
      for (const item of listItems(page)) fresh.set(keyOf(item), trim(item));
      const metadata = fieldAt(page, 'metadata');
      continueToken = textOrUndefined(fieldAt(metadata, 'continue'));
      resourceVersion = textOrUndefined(fieldAt(metadata, 'resourceVersion'));
    } while (continueToken !== undefined);
    this.#relists += 1;
    this.#options.onRelist?.(this.kind);
    this.#lastContact = Date.now();
    this.#replaceStore(fresh);
    this.#resourceVersion = resourceVersion;
    this.#hasSynced = true;
    this.#synced.resolve();
  }

  #replaceStore(fresh: ReadonlyMap<string, KubeObject>): void {
    for (const [key, before] of [...this.#store]) if (!fresh.has(key)) this.#remove(key, before);
    for (const [key, object] of fresh) this.#put(key, object);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const startedAt = Date.now();
    const silence = new AbortController();
    const watchdog = setTimeout(
      () => silence.abort(new SilenceError(`nothing heard for ${this.#timing.silenceMs} ms; watching anew`)),
      this.#timing.silenceMs,
    );
    const onBytes = () => {
      this.#lastContact = Date.now();
      watchdog.refresh();
    };
    try {
      const lines = await this.#options.client.lines(
        {
          path: this.#path(),
          query: {
            ...this.#selector(),
            watch: true,
            allowWatchBookmarks: true,
            resourceVersion: this.#resourceVersion,
            // The server ends each watch after a while; at random, so that not all come back at once.
            timeoutSeconds: 300 + Math.floor(Math.random() * 300),
          },
          ...(this.#options.metadataOnly ? { accept: METADATA_ONE } : {}),
          signal: AbortSignal.any([signal, silence.signal]),
        },
        onBytes,
      );
      onBytes();
      for await (const line of lines) this.#apply(line);
    } catch (error) {
      throw silence.signal.aborted ? silence.signal.reason : error;
    } finally {
      clearTimeout(watchdog);
      if (Date.now() - startedAt >= this.#timing.healthyMs) this.#backoff.reset();
    }
    // An orderly end right after the start is a server that will not watch: do not spin.
    if (Date.now() - startedAt < 1_000) await delay(this.#backoff.next(), signal);
  }

  #apply(line: string): void {
    const event: unknown = JSON.parse(line);
    const type = fieldAt(event, 'type');
    if (type === 'ERROR') throw this.#errorOf(fieldAt(event, 'object'));
    const object = fieldAt(event, 'object');
    this.#resourceVersion =
      textOrUndefined(fieldAt(object, 'metadata', 'resourceVersion')) ?? this.#resourceVersion;
    if (type === 'BOOKMARK') return;
    const item = trim(asKubeObject(object));
    const key = keyOf(item);
    if (type === 'DELETED') this.#remove(key, this.#store.get(key) ?? item);
    else this.#put(key, item);
  }

  #errorOf(status: unknown): Error {
    const message = String(fieldAt(status, 'message') ?? 'the watch ended with an error');
    const gone = fieldAt(status, 'code') === 410 || fieldAt(status, 'reason') === 'Expired';
    return gone ? new WatchGoneError(message) : new Error(message);
  }

  #put(key: string, now: KubeObject): void {
    const before = this.#store.get(key);
    this.#store.set(key, now);
    const same =
      before !== undefined &&
      before.metadata.uid === now.metadata.uid &&
      before.metadata.resourceVersion === now.metadata.resourceVersion;
    if (!same) this.#options.onChange(key, now, before);
  }

  #remove(key: string, before: KubeObject): void {
    this.#store.delete(key);
    this.#options.onChange(key, undefined, before);
  }

  #path(): string {
    return pathOf(this.#options.resource, { namespace: this.#options.namespace });
  }

  #selector(): Query {
    return { labelSelector: this.#options.labelSelector };
  }
}

function listItems(page: unknown): KubeObject[] {
  const items = fieldAt(page, 'items');
  return Array.isArray(items) ? items.map(asKubeObject) : [];
}

/** Managed fields are often more than half of an object, and nobody here reads them. */
function trim(object: KubeObject): KubeObject {
  delete object.metadata['managedFields'];
  return object;
}

function textOrUndefined(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
