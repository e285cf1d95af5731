import { newEventId } from '../../api/event-id.ts';
import type { Codec } from '../codec.ts';
import type {
  Changed,
  ConfirmOptions,
  EdgeCacheClient,
  EventInput,
  StatsResponse,
} from '../edge-cache-client.ts';
import { EdgeCacheError, VersionConflictError } from '../errors.ts';
import { Effects } from './effects.ts';
import {
  GpuNotAvailableError,
  MarketplaceError,
  UnknownBookingError,
  UnknownGpuError,
  UnknownMarketError,
} from './errors.ts';
import {
  ALL_REGIONS,
  gpuTags,
  keys,
  type MarketplaceNamespace,
  marketTags,
  NAMESPACE,
  tags,
} from './keys.ts';
import {
  type Booking,
  CODECS,
  type GpuAvailability,
  type GpuPricing,
  type GpuStatus,
  type MarketStats,
  type OrderBook,
  type ProviderStatus,
} from './model.ts';
import type { MarketplaceSources } from './sources.ts';

export interface MarketplaceCacheOptions {
  readonly client: EdgeCacheClient;
  readonly sources: MarketplaceSources;
  /**
   * What a type of GPU costs in a region now, after a booking changed the market. Default: as the source says. A
   * rule that starts from `pricing.pricePerHour` raises its own result each time: start from a list price.
   */
  readonly reprice?: (pricing: GpuPricing, market: GpuAvailability) => number;
  /** Whether bookings return only when no agent can answer with what was there before. Default false. */
  readonly confirm?: boolean;
}

export interface BookingRequest {
  readonly gpuId: string;
  readonly customerId: string;
  /** The same id again books nothing twice. Default: a new one. */
  readonly bookingId?: string;
}

/** The five effects of a booking or cancellation, all under one event id. */
export interface BookingResult {
  readonly booking: Booking;
  readonly gpu: GpuStatus;
  readonly pricing: GpuPricing | undefined;
  readonly eventId: string;
  /** Of the event that tells all nodes: a lookup with it sees the availability list, order book and statistics anew. */
  readonly changed: Changed;
}

export interface MarketplaceHealth {
  readonly healthy: boolean;
  /** The agent's own word, or `unreachable`. */
  readonly status: string;
  readonly detail: string;
}

/** How a refreshed entry is written and told of. */
interface Refresh<T> {
  readonly codec: Codec<T>;
  readonly tags: (value: T) => readonly string[];
  readonly eventId: string;
  readonly event: Pick<EventInput, 'type' | 'resourceId' | 'data'>;
}

/** Tries of a compare-and-set whose version was old. */
const CAS_TRIES = 4;

/** A GPU marketplace on the cache: reads fall back to the sources of truth, changes tell every node. */
export class MarketplaceCache {
  readonly #client: EdgeCacheClient;
  readonly #sources: MarketplaceSources;
  readonly #reprice: MarketplaceCacheOptions['reprice'];
  readonly #confirm: ConfirmOptions;

  constructor({ client, sources, reprice, confirm = false }: MarketplaceCacheOptions) {
    this.#client = client;
    this.#sources = sources;
    this.#reprice = reprice;
    this.#confirm = { confirm };
  }

  /** One GPU, or undefined where there is none of that id. */
  getGpu(gpuId: string): Promise<GpuStatus | undefined> {
    const load = () => this.#sources.gpu(gpuId);
    const options = { codec: CODECS.gpuStatus, tags: (gpu: GpuStatus) => gpuTags(gpu) };
    return this.#client.getOrLoad(NAMESPACE.availability, keys.gpu(gpuId), load, options);
  }

  /** Many GPUs at once, in the order asked: what the cache has comes in one call, the rest is loaded. */
  getGpus(gpuIds: readonly string[]): Promise<(GpuStatus | undefined)[]> {
    const ids = new Map(gpuIds.map((gpuId) => [keys.gpu(gpuId), gpuId]));
    const load = async (key: string) => this.#sources.gpu(ids.get(key) ?? '');
    const options = { codec: CODECS.gpuStatus, tags: gpuTags };
    return this.#client.getOrLoadMany(NAMESPACE.availability, gpuIds.map(keys.gpu), load, options);
  }

  /** What is free of a type in a region. */
  getGpuAvailability(region: string, gpuType: string): Promise<GpuAvailability | undefined> {
    const load = () => this.#sources.availability(region, gpuType);
    const options = { codec: CODECS.availability, tags: marketTags(region, gpuType) };
    return this.#client.getOrLoad(NAMESPACE.availability, keys.availability(region, gpuType), load, options);
  }

  getGpuPricing(gpuType: string, region: string): Promise<GpuPricing | undefined> {
    const load = () => this.#sources.pricing(region, gpuType);
    const options = { codec: CODECS.pricing, tags: marketTags(region, gpuType) };
    return this.#client.getOrLoad(NAMESPACE.pricing, keys.pricing(region, gpuType), load, options);
  }

  getOrderBook(gpuType: string, region: string): Promise<OrderBook | undefined> {
    const load = () => this.#sources.orderBook(region, gpuType);
    const options = { codec: CODECS.orderBook, tags: marketTags(region, gpuType) };
    return this.#client.getOrLoad(NAMESPACE.orderBook, keys.orderBook(region, gpuType), load, options);
  }

  getProviderStatus(providerId: string): Promise<ProviderStatus | undefined> {
    const load = () => this.#sources.provider(providerId);
    const options = { codec: CODECS.providerStatus, tags: [tags.provider(providerId)] };
    return this.#client.getOrLoad(NAMESPACE.provider, keys.provider(providerId), load, options);
  }

  getMarketStats(region: string = ALL_REGIONS): Promise<MarketStats | undefined> {
    const load = () => this.#sources.stats(region);
    const options = { codec: CODECS.marketStats, tags: [tags.region(region)] };
    return this.#client.getOrLoad(NAMESPACE.stats, keys.stats(region), load, options);
  }

  /** Puts a GPU into or out of service. @throws UnknownGpuError */
  async updateGpuStatus(gpuId: string, available: boolean): Promise<Changed> {
    const eventId = newEventId();
    const gpu = await this.#refreshGpu(gpuId, `${eventId}:gpu`, () =>
      this.#sources.saveGpu({ gpuId, available }),
    );
    if (gpu === undefined) throw new UnknownGpuError(gpuId);
    await this.#refreshStats(gpu.region, `${eventId}:stats`);
    return this.#tell('gpu_availability_changed', gpu, eventId, { available });
  }

  /** Sets a price; the market's order book, which may quote it, is invalidated. @throws UnknownMarketError */
  async updateGpuPricing(gpuType: string, pricePerHour: number, region: string): Promise<GpuPricing> {
    if (!Number.isFinite(pricePerHour) || pricePerHour < 0) {
      throw new MarketplaceError('EC_MARKET_INVALID', `pricePerHour: got ${pricePerHour}; must be 0 or more`);
    }
    const eventId = newEventId();
    const pricing = await this.#refreshPricing(region, gpuType, eventId, () =>
      this.#sources.savePrice(region, gpuType, pricePerHour),
    );
    if (pricing === undefined) throw new UnknownMarketError(region, gpuType);
    const scope = { keys: [keys.orderBook(region, gpuType)], reason: 'pricing_updated' };
    await this.#client.invalidate(NAMESPACE.orderBook, scope, {
      ...this.#confirm,
      eventId: `${eventId}:book`,
    });
    return pricing;
  }

  async updateOrderBook(book: OrderBook): Promise<OrderBook> {
    requireValid(CODECS.orderBook, book, 'order book');
    const { region, gpuType } = book;
    return this.#refresh(
      NAMESPACE.orderBook,
      keys.orderBook(region, gpuType),
      () => this.#sources.saveOrderBook(book),
      {
        codec: CODECS.orderBook,
        tags: () => marketTags(region, gpuType),
        eventId: newEventId(),
        event: { type: 'order_book_updated', resourceId: `${region}/${gpuType}` },
      },
    );
  }

  async updateProviderStatus(status: ProviderStatus): Promise<ProviderStatus> {
    requireValid(CODECS.providerStatus, status, 'provider status');
    const { providerId } = status;
    return this.#refresh(
      NAMESPACE.provider,
      keys.provider(providerId),
      () => this.#sources.saveProvider(status),
      {
        codec: CODECS.providerStatus,
        tags: () => [tags.provider(providerId)],
        eventId: newEventId(),
        event: { type: 'provider_status_changed', resourceId: providerId },
      },
    );
  }

  /**
   * Books a GPU: the cache's compare-and-set is the first gate, which spares the database hopeless tries; the database
   * decides. Then the five effects follow: availability, price, order book, statistics, an event to all nodes.
   * If an effect cannot be written, what it would have replaced is invalidated, never left.
   * @throws UnknownGpuError, GpuNotAvailableError; then nothing was changed. IncompleteBookingError: the booking stands.
   */
  async createBooking({
    gpuId,
    customerId,
    bookingId = newEventId(),
  }: BookingRequest): Promise<BookingResult> {
    const { gpuType, region } = await this.#claim(gpuId, bookingId);
    const booking: Booking = { bookingId, gpuId, gpuType, region, customerId };
    const eventId = newEventId();
    const effects = new Effects();
    const decided: { gpu?: GpuStatus } = {};
    // Where the database refuses, the claim in the cache was wrong: refreshing takes it out again.
    await effects.run('availability', () =>
      this.#refreshGpu(gpuId, `${eventId}:gpu`, async () => {
        const gpu = await this.#sources.book(booking);
        if (gpu !== undefined) decided.gpu = gpu;
        return gpu;
      }),
    );
    if (decided.gpu === undefined) throw effects.failure('availability') ?? new GpuNotAvailableError(gpuId);
    return this.#spread('booking_created', booking, decided.gpu, eventId, effects);
  }

  /** Ends a booking, with the same five effects. @throws UnknownBookingError, IncompleteBookingError */
  async cancelBooking(bookingId: string): Promise<BookingResult> {
    const ended = await this.#sources.cancel(bookingId);
    if (ended === undefined) throw new UnknownBookingError(bookingId);
    const eventId = newEventId();
    const { gpuId } = ended.gpu;
    const effects = new Effects();
    const gpu = await effects.run('availability', () =>
      this.#refreshGpu(gpuId, `${eventId}:gpu`, () => this.#sources.gpu(gpuId)),
    );
    return this.#spread('booking_cancelled', ended.booking, gpu ?? ended.gpu, eventId, effects);
  }

  /** Drops a whole namespace on every node. */
  invalidateCache(namespace: MarketplaceNamespace, reason: string): Promise<Changed> {
    return this.#client.invalidate(namespace, { reason }, this.#confirm);
  }

  getCacheStats(): Promise<StatsResponse> {
    return this.#client.stats();
  }

  /** Never throws: an agent that does not answer is an answer. */
  async healthCheck(): Promise<MarketplaceHealth> {
    try {
      const { status, redis, events } = await this.#client.stats();
      const detail = `Redis ${redis?.connected ? 'connected' : 'out of reach'}, ${events?.processed ?? 0} events applied`;
      return { healthy: status === 'healthy', status, detail };
    } catch (error) {
      return {
        healthy: false,
        status: 'unreachable',
        detail: error instanceof Error ? error.message : String(error),
      };
    }
  }

  /** Marks a GPU as taken in the cache if it is free there. Without the cache the database decides alone. */
  async #claim(gpuId: string, bookingId: string): Promise<GpuStatus> {
    for (let attempt = 1; ; attempt++) {
      const gpu = await this.getGpu(gpuId);
      if (gpu === undefined) throw new UnknownGpuError(gpuId);
      // Taken by this very booking, tried again, is not taken.
      if (!gpu.available && gpu.bookingId !== bookingId) throw new GpuNotAvailableError(gpuId);
      if ((await this.#compareAndSet(gpu, bookingId)) || attempt >= CAS_TRIES) return gpu;
    }
  }

  /** False where the entry changed meanwhile: look again. */
  async #compareAndSet(gpu: GpuStatus, bookingId: string): Promise<boolean> {
    const key = keys.gpu(gpu.gpuId);
    const found = await this.#client.get(NAMESPACE.availability, key, { codec: CODECS.gpuStatus });
    // Without a version there is nothing to compare with; the database decides.
    if (found.status !== 'hit') return true;
    if (!found.value.available) return found.value.bookingId === bookingId;
    try {
      const claimed: GpuStatus = { ...found.value, available: false, bookingId };
      await this.#client.put(NAMESPACE.availability, key, claimed, {
        codec: CODECS.gpuStatus,
        tags: gpuTags(gpu),
        ifVersion: found.version,
        event: { type: 'gpu_availability_changed', resourceId: gpu.gpuId },
      });
      return true;
    } catch (error) {
      if (error instanceof VersionConflictError) return false;
      if (error instanceof EdgeCacheError && error.retryable) return true;
      throw error;
    }
  }

  async #spread(
    type: 'booking_created' | 'booking_cancelled',
    booking: Booking,
    gpu: GpuStatus,
    eventId: string,
    effects: Effects,
  ): Promise<BookingResult> {
    const { gpuType, region, bookingId } = booking;
    const [pricing] = await Promise.all([
      effects.run('price', () => this.#repriceMarket(region, gpuType, `${eventId}:price`)),
      effects.run('statistics', () => this.#refreshStats(region, `${eventId}:stats`)),
    ]);
    // The event comes last, so whoever hears it finds the rest done; and it comes whatever failed before it.
    const changed = await effects.run('event', () => this.#tell(type, gpu, eventId, { bookingId }));
    effects.check(bookingId);
    if (changed === undefined) throw new Error('an effect that did not fail gave nothing');
    return { booking, gpu, pricing, eventId, changed };
  }

  /** Tells all nodes, and invalidates what is derived: the availability list, the order book, the overall statistics. */
  #tell(type: string, gpu: GpuStatus, eventId: string, data: Record<string, unknown>): Promise<Changed> {
    const { gpuId, gpuType, region } = gpu;
    const event = {
      type,
      resourceId: gpuId,
      data: { gpuId, gpuType, region, ...data },
      namespaces: [NAMESPACE.availability, NAMESPACE.orderBook, NAMESPACE.stats],
      // The list of what is free and the order book of a market have the same key.
      keys: [keys.availability(region, gpuType), keys.stats(ALL_REGIONS)],
    };
    return this.#client.publish(event, { ...this.#confirm, eventId });
  }

  #refreshGpu<R extends GpuStatus | undefined>(
    gpuId: string,
    eventId: string,
    read: () => Promise<R>,
  ): Promise<R> {
    return this.#refresh<GpuStatus, R>(NAMESPACE.availability, keys.gpu(gpuId), read, {
      codec: CODECS.gpuStatus,
      tags: gpuTags,
      eventId,
      event: { type: 'gpu_availability_changed', resourceId: gpuId },
    });
  }

  #refreshPricing<R extends GpuPricing | undefined>(
    region: string,
    gpuType: string,
    eventId: string,
    read: () => Promise<R>,
  ): Promise<R> {
    return this.#refresh<GpuPricing, R>(NAMESPACE.pricing, keys.pricing(region, gpuType), read, {
      codec: CODECS.pricing,
      tags: () => marketTags(region, gpuType),
      eventId,
      event: { type: 'pricing_updated', resourceId: `${region}/${gpuType}` },
    });
  }

  #repriceMarket(region: string, gpuType: string, eventId: string): Promise<GpuPricing | undefined> {
    return this.#refreshPricing(region, gpuType, eventId, async () => {
      const [pricing, market] = await Promise.all([
        this.#sources.pricing(region, gpuType),
        this.#sources.availability(region, gpuType),
      ]);
      if (pricing === undefined || market === undefined) return pricing;
      const price = this.#reprice?.(pricing, market) ?? pricing.pricePerHour;
      return price === pricing.pricePerHour ? pricing : this.#sources.savePrice(region, gpuType, price);
    });
  }

  #refreshStats(region: string, eventId: string): Promise<MarketStats | undefined> {
    return this.#refresh(NAMESPACE.stats, keys.stats(region), () => this.#sources.stats(region), {
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
  async #refresh<T, R extends T | undefined>(
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
      const found = await this.#client.get(namespace, key);
      return found.status === 'hit' ? found.version : undefined;
    } catch (error) {
      if (error instanceof EdgeCacheError && error.retryable) return undefined;
      throw error;
    }
  }
}

/** Checked before the source of truth has it, because it could not be cached afterwards. */
function requireValid<T>(codec: Codec<T>, value: T, what: string): void {
  try {
    codec.encode(value);
  } catch (error) {
    throw new MarketplaceError('EC_MARKET_INVALID', `the ${what} is not of the expected form`, {
      cause: error,
    });
  }
}
