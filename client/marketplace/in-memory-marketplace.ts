import { GPU_MODELS, PROVIDERS } from './catalogue.ts';
import { ALL_REGIONS } from './keys.ts';
import type {
  Booking,
  GpuAvailability,
  GpuPricing,
  GpuStatus,
  MarketStats,
  OrderBook,
  ProviderStatus,
} from './model.ts';
import type { MarketplaceSources } from './sources.ts';

export interface InMemoryMarketplaceOptions {
  readonly gpus: number;
  readonly regions: readonly string[];
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Told of each change of a GPU, after it. */
  readonly changed?: (gpu: GpuStatus) => void;
  /** Told of each new price, after it. */
  readonly priced?: (pricing: GpuPricing) => void;
}

interface Market {
  readonly gpus: GpuStatus[];
  price: GpuPricing;
  free: Set<string>;
}

/** Ids that an availability list names at most. */
const LISTED = 50;

/**
 * A marketplace's database in memory, for the demo, examples and tests: each method is atomic because JavaScript is, and
 * each change counts a revision up, so that what a cache answers can be checked against the truth.
 */
export class InMemoryMarketplace implements MarketplaceSources {
  readonly gpuIds: readonly string[];
  readonly #gpus = new Map<string, GpuStatus>();
  readonly #markets = new Map<string, Market>();
  readonly #bookings = new Map<string, Booking>();
  readonly #ended = new Map<string, Booking>();
  readonly #providers = new Map<string, ProviderStatus>();
  readonly #orderBooks = new Map<string, OrderBook>();
  readonly #stats = new Map<string, { total: number; booked: number }>();
  readonly #changed: (gpu: GpuStatus) => void;
  readonly #priced: (pricing: GpuPricing) => void;

  constructor({
    gpus,
    regions,
    random,
    changed = () => undefined,
    priced = () => undefined,
  }: InMemoryMarketplaceOptions) {
    this.#changed = changed;
    this.#priced = priced;
    for (const region of regions) {
      for (const { gpuType, pricePerHour } of GPU_MODELS) {
        const price: GpuPricing = { gpuType, region, pricePerHour, currency: 'USD', revision: 0 };
        this.#markets.set(marketOf(region, gpuType), { gpus: [], price, free: new Set() });
      }
    }
    for (let i = 0; i < gpus; i++) this.#add(`gpu_${i}`, regions, random);
    for (const providerId of PROVIDERS) {
      this.#providers.set(providerId, { providerId, online: true, uptime: 0.99 + random() / 100 });
    }
    this.gpuIds = [...this.#gpus.keys()];
  }

  async gpu(gpuId: string): Promise<GpuStatus | undefined> {
    return this.#gpus.get(gpuId);
  }

  async availability(region: string, gpuType: string): Promise<GpuAvailability | undefined> {
    const market = this.#markets.get(marketOf(region, gpuType));
    if (market === undefined) return undefined;
    const available = [...market.free].slice(0, LISTED);
    return { region, gpuType, total: market.gpus.length, free: market.free.size, available };
  }

  async pricing(region: string, gpuType: string): Promise<GpuPricing | undefined> {
    return this.#markets.get(marketOf(region, gpuType))?.price;
  }

  async orderBook(region: string, gpuType: string): Promise<OrderBook | undefined> {
    const market = this.#markets.get(marketOf(region, gpuType));
    if (market === undefined) return undefined;
    const { pricePerHour } = market.price;
    const derived = {
      gpuType,
      region,
      bids: [{ pricePerHour: pricePerHour * 0.95, count: 1 }],
      asks: [{ pricePerHour, count: market.free.size }],
    };
    return this.#orderBooks.get(marketOf(region, gpuType)) ?? derived;
  }

  async provider(providerId: string): Promise<ProviderStatus | undefined> {
    return this.#providers.get(providerId);
  }

  async stats(region: string): Promise<MarketStats | undefined> {
    const counts = this.#stats.get(region);
    if (counts === undefined) return undefined;
    return { region, ...counts, utilization: counts.total === 0 ? 0 : counts.booked / counts.total };
  }

  async book(booking: Booking): Promise<GpuStatus | undefined> {
    const gpu = this.#gpus.get(booking.gpuId);
    if (gpu?.bookingId === booking.bookingId) return gpu;
    if (gpu === undefined || !gpu.available || this.#ended.has(booking.bookingId)) return undefined;
    this.#bookings.set(booking.bookingId, booking);
    return this.#save({ ...gpu, available: false, bookingId: booking.bookingId });
  }

  async cancel(bookingId: string): Promise<{ booking: Booking; gpu: GpuStatus } | undefined> {
    const booking = this.#bookings.get(bookingId) ?? this.#ended.get(bookingId);
    const gpu = booking === undefined ? undefined : this.#gpus.get(booking.gpuId);
    if (booking === undefined || gpu === undefined) return undefined;
    this.#bookings.delete(bookingId);
    this.#ended.set(bookingId, booking);
    if (gpu.bookingId !== bookingId) return { booking, gpu };
    const { bookingId: _, ...free } = gpu;
    return { booking, gpu: this.#save({ ...free, available: true }) };
  }

  async saveGpu({
    gpuId,
    available,
  }: Pick<GpuStatus, 'gpuId' | 'available'>): Promise<GpuStatus | undefined> {
    const gpu = this.#gpus.get(gpuId);
    if (gpu === undefined) return undefined;
    return this.#save({ ...gpu, available: available && gpu.bookingId === undefined });
  }

  async savePrice(region: string, gpuType: string, pricePerHour: number): Promise<GpuPricing | undefined> {
    const market = this.#markets.get(marketOf(region, gpuType));
    if (market === undefined) return undefined;
    const revision = market.price.revision + 1;
    const price: GpuPricing = { gpuType, region, pricePerHour, currency: 'USD', revision };
    market.price = price;
    this.#priced(price);
    return price;
  }

  async saveOrderBook(book: OrderBook): Promise<OrderBook> {
    this.#orderBooks.set(marketOf(book.region, book.gpuType), book);
    return book;
  }

  async saveProvider(status: ProviderStatus): Promise<ProviderStatus> {
    this.#providers.set(status.providerId, status);
    return status;
  }

  #add(gpuId: string, regions: readonly string[], random: () => number): void {
    const { gpuType } = pick(GPU_MODELS, random);
    const region = pick(regions, random);
    const gpu: GpuStatus = {
      gpuId,
      gpuType,
      region,
      providerId: pick(PROVIDERS, random),
      available: true,
      revision: 0,
    };
    this.#gpus.set(gpuId, gpu);
    const market = this.#markets.get(marketOf(region, gpuType));
    market?.gpus.push(gpu);
    market?.free.add(gpuId);
    for (const each of [region, ALL_REGIONS]) this.#count(each, 1, 0);
  }

  #save(next: GpuStatus): GpuStatus {
    const before = this.#gpus.get(next.gpuId);
    const gpu = { ...next, revision: (before?.revision ?? 0) + 1 };
    this.#gpus.set(gpu.gpuId, gpu);
    const free = this.#markets.get(marketOf(gpu.region, gpu.gpuType))?.free;
    if (gpu.available) free?.add(gpu.gpuId);
    else free?.delete(gpu.gpuId);
    if (before !== undefined && before.available !== gpu.available) {
      for (const each of [gpu.region, ALL_REGIONS]) this.#count(each, 0, gpu.available ? -1 : 1);
    }
    this.#changed(gpu);
    return gpu;
  }

  #count(region: string, total: number, booked: number): void {
    const counts = this.#stats.get(region) ?? { total: 0, booked: 0 };
    this.#stats.set(region, { total: counts.total + total, booked: counts.booked + booked });
  }
}

function marketOf(region: string, gpuType: string): string {
  return `${region}/${gpuType}`;
}

function pick<T>(list: readonly T[], random: () => number): T {
  const item = list[Math.floor(random() * list.length)];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
}
