import { newEventId } from '../../api/event-id.ts';
import type { Codec } from '../codec.ts';
import type { Changed, ConfirmOptions, EdgeCacheClient, StatsResponse } from '../edge-cache-client.ts';
import { Claims } from './claims.ts';
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
import { Refresher } from './refresher.ts';
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

/** A GPU marketplace on the cache: reads fall back to the sources of truth, changes tell every node. */
export class MarketplaceCache {
  readonly #client: EdgeCacheClient;
  readonly #sources: MarketplaceSources;
  readonly #confirm: ConfirmOptions;
  readonly #refresher: Refresher;
  readonly #claims: Claims;

  constructor({ client, sources, reprice, confirm = false }: MarketplaceCacheOptions) {
    this.#client = client;
    this.#sources = sources;
    this.#confirm = { confirm };
    this.#claims = new Claims(client);
    this.#refresher = new Refresher({ client, sources, reprice, confirm: this.#confirm });
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
    const gpu = await this.#refresher.gpu(gpuId, `${eventId}:gpu`, () =>
      this.#sources.saveGpu({ gpuId, available }),
    );
    if (gpu === undefined) throw new UnknownGpuError(gpuId);
    await this.#refresher.stats(gpu.region, `${eventId}:stats`);
    return this.#tell('gpu_availability_changed', gpu, eventId, { available });
  }

  /** Sets a price; the market's order book, which may quote it, is invalidated. @throws UnknownMarketError */
  async updateGpuPricing(gpuType: string, pricePerHour: number, region: string): Promise<GpuPricing> {
    if (!Number.isFinite(pricePerHour) || pricePerHour < 0) {
      throw new MarketplaceError('EC_MARKET_INVALID', `pricePerHour: got ${pricePerHour}; must be 0 or more`);
    }
    const eventId = newEventId();
    const pricing = await this.#refresher.pricing(region, gpuType, eventId, () =>
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
    return this.#refresher.refresh(
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
    return this.#refresher.refresh(
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
    const { gpuType, region } = await this.#claims.claim(gpuId, bookingId, (id) => this.getGpu(id));
    const booking: Booking = { bookingId, gpuId, gpuType, region, customerId };
    const eventId = newEventId();
    const effects = new Effects();
    const decided: { gpu?: GpuStatus } = {};
    // Where the database refuses, the claim in the cache was wrong: refreshing takes it out again.
    await effects.run('availability', () =>
      this.#refresher.gpu(gpuId, `${eventId}:gpu`, async () => {
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
      this.#refresher.gpu(gpuId, `${eventId}:gpu`, () => this.#sources.gpu(gpuId)),
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

  async #spread(
    type: 'booking_created' | 'booking_cancelled',
    booking: Booking,
    gpu: GpuStatus,
    eventId: string,
    effects: Effects,
  ): Promise<BookingResult> {
    const { gpuType, region, bookingId } = booking;
    const [pricing] = await Promise.all([
      effects.run('price', () => this.#refresher.repriced(region, gpuType, `${eventId}:price`)),
      effects.run('statistics', () => this.#refresher.stats(region, `${eventId}:stats`)),
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
