import type { Codec } from '../codec.ts';
import type { ConfirmOptions, EdgeCacheClient, EventInput } from '../edge-cache-client.ts';
import { EdgeCacheError } from '../errors.ts';
import { gpuTags, keys, type MarketplaceNamespace, marketTags, NAMESPACE, tags } from './keys.ts';
import { CODECS, type GpuAvailability, type GpuPricing, type GpuStatus, type MarketStats } from './model.ts';
import type { MarketplaceSources } from './sources.ts';

/** How a refreshed entry is written and told of. */
interface Refresh<T> {
  readonly codec: Codec<T>;
  readonly tags: (value: T) => readonly string[];
  readonly eventId: string;
  readonly event: Pick<EventInput, 'type' | 'resourceId' | 'data'>;
}

export interface RefresherOptions {
  readonly client: EdgeCacheClient;
  readonly sources: MarketplaceSources;
  readonly reprice: ((pricing: GpuPricing, market: GpuAvailability) => number) | undefined;
  readonly confirm: Pick<ConfirmOptions, 'confirm'>;
}

/** Brings entries up to the sources of truth after these have changed. */
export class Refresher {
  readonly #client: EdgeCacheClient;
  readonly #sources: MarketplaceSources;
  readonly #reprice: RefresherOptions['reprice'];
  readonly #confirm: RefresherOptions['confirm'];

  constructor({ client, sources, reprice, confirm }: RefresherOptions) {
    this.#client = client;
    this.#sources = sources;
    this.#reprice = reprice;
    this.#confirm = confirm;
  }

  gpu<R extends GpuStatus | undefined>(gpuId: string, eventId: string, read: () => Promise<R>): Promise<R> {
    return this.refresh<GpuStatus, R>(NAMESPACE.availability, keys.gpu(gpuId), read, {
      codec: CODECS.gpuStatus,
      tags: gpuTags,
      eventId,
      event: { type: 'gpu_availability_changed', resourceId: gpuId },
    });
  }

  pricing<R extends GpuPricing | undefined>(
    region: string,
    gpuType: string,
    eventId: string,
    read: () => Promise<R>,
  ): Promise<R> {
    return this.refresh<GpuPricing, R>(NAMESPACE.pricing, keys.pricing(region, gpuType), read, {
      codec: CODECS.pricing,
      tags: () => marketTags(region, gpuType),
      eventId,
      event: { type: 'pricing_updated', resourceId: `${region}/${gpuType}` },
    });
  }

  repriced(region: string, gpuType: string, eventId: string): Promise<GpuPricing | undefined> {
    return this.pricing(region, gpuType, eventId, async () => {
      const [pricing, market] = await Promise.all([
        this.#sources.pricing(region, gpuType),
        this.#sources.availability(region, gpuType),
      ]);
      if (pricing === undefined || market === undefined) return pricing;
      const price = this.#reprice?.(pricing, market) ?? pricing.pricePerHour;
      return price === pricing.pricePerHour ? pricing : this.#sources.savePrice(region, gpuType, price);
    });
  }

  stats(region: string, eventId: string): Promise<MarketStats | undefined> {
    return this.refresh(NAMESPACE.stats, keys.stats(region), () => this.#sources.stats(region), {
      codec: CODECS.marketStats,
      tags: () => [tags.region(region)],
      eventId,
      event: { type: 'market_stats_updated', resourceId: region },
    });
  }

  /**
   * Brings an entry up to the source of truth. Two writers may read the source in one order and write the cache in
   * the other: so the entry's version is taken before the source is read, and the write compares it. Where that
   * fails, or there is no entry to compare with, the key is invalidated instead, and its next reader loads.
   */
  async refresh<T, R extends T | undefined>(
    namespace: MarketplaceNamespace,
    key: string,
    read: () => Promise<R>,
    how: Refresh<T>,
  ): Promise<R> {
    const version = await this.#versionOf(namespace, key);
    const drop = (reason: string) =>
      this.#client.invalidate(
        namespace,
        { keys: [key], reason },
        { ...this.#confirm, eventId: `${how.eventId}:drop` },
      );
    let value: R;
    try {
      value = await read();
    } catch (error) {
      // It may have changed before it failed.
      await drop('an update failed');
      throw error;
    }
    if (
      value === undefined ||
      version === undefined ||
      !(await this.#putOver(namespace, key, value, version, how))
    ) {
      await drop('changed');
    }
    return value;
  }

  /** False where the entry is not what it was, or could not be written. */
  async #putOver<T>(
    namespace: MarketplaceNamespace,
    key: string,
    value: T,
    ifVersion: string,
    { codec, tags: tagsOf, eventId, event }: Refresh<T>,
  ): Promise<boolean> {
    try {
      await this.#client.put(namespace, key, value, {
        ...this.#confirm,
        codec,
        tags: tagsOf(value),
        ifVersion,
        eventId,
        event,
      });
      return true;
    } catch (error) {
      if (error instanceof EdgeCacheError) return false;
      throw error;
    }
  }

  async #versionOf(namespace: MarketplaceNamespace, key: string): Promise<string | undefined> {
    try {
      const found = await this.#client.get(namespace, key, { near: false });
      return found.status === 'hit' ? found.version : undefined;
    } catch (error) {
      if (error instanceof EdgeCacheError && error.retryable) return undefined;
      throw error;
    }
  }
}
