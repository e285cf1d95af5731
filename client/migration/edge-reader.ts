import { anyJson, type Codec } from '../codec.ts';
import type { EdgeCacheClient, GetOptions, LoadOptions } from '../edge-cache-client.ts';

export interface EdgeReaderOptions<T> {
  readonly client: EdgeCacheClient;
  readonly namespace: string;
  readonly load: (key: string) => Promise<T | undefined>;
  readonly edge: LoadOptions<T>;
}

/** One namespace as Edge Cache has it. */
export class EdgeReader<T> {
  readonly #options: EdgeReaderOptions<T>;
  readonly #loadOptions: LoadOptions<T> & { readonly codec: Codec<T> };

  constructor(options: EdgeReaderOptions<T>) {
    this.#options = options;
    // Without a codec values are any JSON, as in the client.
    this.#loadOptions = { codec: anyJson as Codec<T>, ...options.edge };
  }

  /** What it has, without loading. @throws EdgeCacheError */
  async look(
    key: string,
    options: Omit<GetOptions<T>, 'codec'> = {},
  ): Promise<{ readonly value: T | undefined } | 'miss' | 'degraded'> {
    const { client, namespace } = this.#options;
    const { codec } = this.#loadOptions;
    const found = await client.get(namespace, key, { ...options, codec });
    if (found.status === 'miss' || found.status === 'degraded') return found.status;
    return { value: found.status === 'hit' ? found.value : undefined };
  }

  /**
   * What it has, or loads. The loader is the source, never the existing cache: what that answers may be old, and would
   * be cached anew.
   * @throws what `load` throws, EdgeCacheError
   */
  getOrLoad(key: string): Promise<T | undefined> {
    const { client, namespace, load } = this.#options;
    return client.getOrLoad(namespace, key, () => load(key), this.#loadOptions);
  }
}
