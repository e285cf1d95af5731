import type { Attributes, Tracer } from '@opentelemetry/api';
import type { Codec } from './codec.ts';
import { EdgeCacheClient } from './edge-cache-client.ts';
import type {
  Changed,
  ConfirmOptions,
  EdgeCacheClientOptions,
  EventInput,
  Found,
  GetOptions,
  InvalidateScope,
  LoadOptions,
  PutOptions,
} from './options.ts';
import { ClientTracing } from './tracing.ts';

export interface TracedClientOptions extends Omit<EdgeCacheClientOptions, 'trace'> {
  /** The application’s, such as `trace.getTracer('shop')` of `@opentelemetry/api`: its SDK samples and exports. */
  readonly tracer: Tracer;
}

/**
 * A client whose calls are spans of the application's traces, and go on as such at the agents and in Redis. A class of
 * its own, so that a client without traces has nothing to ask itself at each lookup.
 */
export class TracedEdgeCacheClient extends EdgeCacheClient {
  readonly #tracing: ClientTracing;

  constructor({ tracer, ...options }: TracedClientOptions) {
    const tracing = new ClientTracing(tracer);
    super({ ...options, on: tracing.hooks(options.on), trace: tracing });
    this.#tracing = tracing;
  }

  override get(namespace: string, key: string): Promise<Found<unknown>>;
  override get<T>(
    namespace: string,
    key: string,
    options: GetOptions<T> & { readonly codec: Codec<T> },
  ): Promise<Found<T>>;
  override get(namespace: string, key: string, options: GetOptions<unknown>): Promise<Found<unknown>>;
  override get(namespace: string, key: string, options: GetOptions<unknown> = {}): Promise<Found<unknown>> {
    return this.#tracing.span('get', of(namespace), () => super.get(namespace, key, options), toldOf);
  }

  override getMany(namespace: string, keys: readonly string[]): Promise<Found<unknown>[]>;
  override getMany<T>(
    namespace: string,
    keys: readonly string[],
    options: GetOptions<T> & { readonly codec: Codec<T> },
  ): Promise<Found<T>[]>;
  override getMany(
    namespace: string,
    keys: readonly string[],
    options: GetOptions<unknown> = {},
  ): Promise<Found<unknown>[]> {
    const attributes = { ...of(namespace), 'edgecache.items': keys.length };
    const coded = options as GetOptions<unknown> & { readonly codec: Codec<unknown> };
    return this.#tracing.span('getMany', attributes, () => super.getMany(namespace, keys, coded), countsOf);
  }

  override getOrLoad<T>(
    namespace: string,
    key: string,
    loader: () => Promise<T | undefined>,
    options: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<T | undefined>;
  override getOrLoad(
    namespace: string,
    key: string,
    loader: () => Promise<unknown>,
    options?: LoadOptions<unknown>,
  ): Promise<unknown>;
  override getOrLoad(
    namespace: string,
    key: string,
    loader: () => Promise<unknown>,
    options: LoadOptions<unknown> = {},
  ): Promise<unknown> {
    return this.#tracing.span('getOrLoad', of(namespace), () =>
      super.getOrLoad(namespace, key, loader, options),
    );
  }

  override getOrLoadMany<T>(
    namespace: string,
    keys: readonly string[],
    loader: (key: string) => Promise<T | undefined>,
    options: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<(T | undefined)[]> {
    const attributes = { ...of(namespace), 'edgecache.items': keys.length };
    return this.#tracing.span('getOrLoadMany', attributes, () =>
      super.getOrLoadMany(namespace, keys, loader, options),
    );
  }

  override put<T>(namespace: string, key: string, value: T, options: PutOptions<T> = {}): Promise<Changed> {
    return this.#tracing.span(
      'put',
      of(namespace),
      () => super.put(namespace, key, value, options),
      changedOf,
    );
  }

  override invalidate(
    namespace: string,
    scope: InvalidateScope,
    options: ConfirmOptions = {},
  ): Promise<Changed> {
    return this.#tracing.span(
      'invalidate',
      of(namespace),
      () => super.invalidate(namespace, scope, options),
      changedOf,
    );
  }

  override publish(event: EventInput, options: ConfirmOptions = {}): Promise<Changed> {
    const attributes = { 'edgecache.event_type': event.type };
    return this.#tracing.span('publish', attributes, () => super.publish(event, options), changedOf);
  }
}

function of(namespace: string): Attributes {
  return { 'edgecache.namespace': namespace };
}

/** near, l1, l2, absent, miss or degraded. */
function outcomeOf(found: Found<unknown>): string {
  return found.status === 'hit' ? found.source : found.status;
}

function toldOf(found: Found<unknown>): Attributes {
  return { 'edgecache.outcome': outcomeOf(found), 'edgecache.node': found.node };
}

function countsOf(found: readonly Found<unknown>[]): Attributes {
  const counts: Attributes = {};
  for (const one of found) {
    const name = `edgecache.outcomes.${outcomeOf(one)}`;
    counts[name] = Number(counts[name] ?? 0) + 1;
  }
  return counts;
}

function changedOf({ state, eventId }: Changed): Attributes {
  return { 'edgecache.event_id': eventId, 'edgecache.state': state };
}
