import { Zipf } from '../../cli/bench/zipf.ts';
import { GPU_MODELS } from '../../client/marketplace/catalogue.ts';
import { GpuNotAvailableError } from '../../client/marketplace/errors.ts';
import type { InMemoryMarketplace } from '../../client/marketplace/in-memory-marketplace.ts';
import { gpuTags, keys, NAMESPACE } from '../../client/marketplace/keys.ts';
import { MarketplaceCache } from '../../client/marketplace/marketplace-cache.ts';
import { CODECS, type GpuStatus } from '../../client/marketplace/model.ts';
import { demandPrice } from '../../client/marketplace/pricing.ts';
import { shuffled } from './random.ts';
import type { Node } from './stack.ts';
import type { Truth } from './truth.ts';

/** The load: pages of GPUs that people look at, a price beside each page, and what they book. */
export const LOAD = {
  /** Five times what an edge agent's memory holds. */
  gpus: 2_600,
  /** Popularity of GPUs: the rank to the power of minus this. */
  zipfExponent: 1.2,
  /** Pages with the details of one GPU and its price. */
  detailsPerSecond: 300,
  /** Single lookups on each node, from a process of their own, whose latency is measured. */
  probesPerSecond: 50,
  /** Pages that list GPUs. */
  pagesPerSecond: 60,
  gpusPerPage: 20,
  /** Lists of what is free in a market. */
  listsPerSecond: 20,
  bookingsPerSecond: 8,
  cancellationsPerSecond: 4,
  pricesPerSecond: 4,
} as const;

const TICK_MS = 5;
const INVENTORY_TTL_MS = 30_000;

export interface LoadCounters {
  lookups: number;
  bookings: number;
  refused: number;
  cancellations: number;
  prices: number;
  errors: number;
}

export interface LoadOptions {
  readonly nodes: readonly Node[];
  readonly market: InMemoryMarketplace;
  readonly truth: Truth;
  readonly random: () => number;
  readonly now: () => number;
  readonly failed: (error: unknown) => void;
}

/** Paced by the clock, not by answers: a slow cache gets no fewer questions. */
export class Load {
  readonly counters: LoadCounters = {
    lookups: 0,
    bookings: 0,
    refused: 0,
    cancellations: 0,
    prices: 0,
    errors: 0,
  };
  readonly #options: LoadOptions;
  readonly #caches: readonly MarketplaceCache[];
  /** All GPUs, the most popular first. */
  readonly popular: readonly string[];
  readonly #zipf: Zipf;
  readonly #booked: string[] = [];
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { market: sources, random } = options;
    const reprice = ({ gpuType }: { gpuType: string }, free: Parameters<typeof demandPrice>[1]) =>
      demandPrice(GPU_MODELS.find((model) => model.gpuType === gpuType)?.pricePerHour ?? 1, free);
    this.#caches = options.nodes.map(({ client }) => new MarketplaceCache({ client, sources, reprice }));
    this.popular = shuffled(sources.gpuIds, random);
    this.#zipf = new Zipf(this.popular.length, LOAD.zipfExponent, random);
  }

  /** The marketplace tells the cache what it has, with TTLs spread so that not everything ends at once. */
  async publishInventory(): Promise<void> {
    const { market, nodes, random } = this.#options;
    const ids = [...market.gpuIds];
    const work = nodes.map(async ({ client }) => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
        const gpu = await market.gpu(id);
        if (gpu === undefined) continue;
        const ttlMs = Math.round(INVENTORY_TTL_MS * (0.7 + 0.3 * random()));
        const options = { codec: CODECS.gpuStatus, tags: gpuTags(gpu), ttlMs, ifVersion: '0' };
        await client.put(NAMESPACE.availability, keys.gpu(id), gpu, options);
      }
    });
    await Promise.all(work);
  }

  /** The most popular GPU. */
  get hottest(): string {
    return this.popular[0] ?? '';
  }

  start(): void {
    const { now } = this.#options;
    let last = now();
    const due = { details: 0, pages: 0, lists: 0, bookings: 0, cancellations: 0, prices: 0 };
    this.#timer = setInterval(() => {
      const time = now();
      // After a pause, not everything that was missed is asked at once.
      const seconds = Math.min(0.1, (time - last) / 1000);
      last = time;
      due.details += seconds * LOAD.detailsPerSecond;
      due.pages += seconds * LOAD.pagesPerSecond;
      due.lists += seconds * LOAD.listsPerSecond;
      due.bookings += seconds * LOAD.bookingsPerSecond;
      due.cancellations += seconds * LOAD.cancellationsPerSecond;
      due.prices += seconds * LOAD.pricesPerSecond;
      for (; due.details >= 1; due.details--) this.#run((cache) => this.#details(cache));
      for (; due.pages >= 1; due.pages--) this.#run((cache) => this.#page(cache));
      for (; due.lists >= 1; due.lists--) this.#run((cache) => this.#list(cache));
      for (; due.bookings >= 1; due.bookings--) this.#run((cache) => this.#book(cache));
      for (; due.cancellations >= 1; due.cancellations--) this.#run((cache) => this.#cancel(cache));
      for (; due.prices >= 1; due.prices--) this.#run((cache) => this.#price(cache));
    }, TICK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled(this.#running);
  }

  #run(work: (cache: MarketplaceCache) => Promise<void>): void {
    const cache = this.#caches[Math.floor(this.#options.random() * this.#caches.length)];
    if (cache === undefined) return;
    const running: Promise<void> = work(cache)
      .catch((error: unknown) => {
        this.counters.errors += 1;
        this.#options.failed(error);
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #page(cache: MarketplaceCache): Promise<void> {
    const { now, truth } = this.#options;
    const wanted = Array.from({ length: LOAD.gpusPerPage }, () => this.popular[this.#zipf.next()] ?? '');
    const beganAt = now();
    const gpus = await cache.getGpus(wanted);
    this.counters.lookups += wanted.length;
    gpus.forEach((gpu, i) => {
      if (gpu !== undefined) truth.check(wanted[i] ?? '', gpu.revision, beganAt);
    });
  }

  async #details(cache: MarketplaceCache): Promise<void> {
    const { now, truth } = this.#options;
    const gpuId = this.popular[this.#zipf.next()] ?? '';
    const beganAt = now();
    const gpu = await cache.getGpu(gpuId);
    this.counters.lookups += 1;
    if (gpu !== undefined) truth.check(gpuId, gpu.revision, beganAt);
    await this.#priceOf(cache, gpu);
  }

  async #priceOf(cache: MarketplaceCache, gpu: GpuStatus | undefined): Promise<void> {
    if (gpu === undefined) return;
    const { now, truth } = this.#options;
    const beganAt = now();
    const price = await cache.getGpuPricing(gpu.gpuType, gpu.region);
    this.counters.lookups += 1;
    if (price !== undefined) truth.check(`price/${gpu.region}/${gpu.gpuType}`, price.revision, beganAt);
  }

  async #list(cache: MarketplaceCache): Promise<void> {
    const gpu = await this.#options.market.gpu(this.popular[this.#zipf.next()] ?? '');
    if (gpu === undefined) return;
    await cache.getGpuAvailability(gpu.region, gpu.gpuType);
    this.counters.lookups += 1;
  }

  async #book(cache: MarketplaceCache): Promise<void> {
    const gpuId = this.popular[this.#zipf.next()] ?? '';
    try {
      const { booking } = await cache.createBooking({ gpuId, customerId: 'demo' });
      this.#booked.push(booking.bookingId);
      this.counters.bookings += 1;
    } catch (error) {
      if (!(error instanceof GpuNotAvailableError)) throw error;
      this.counters.refused += 1;
    }
  }

  async #cancel(cache: MarketplaceCache): Promise<void> {
    const bookingId = this.#booked.shift();
    if (bookingId === undefined) return;
    await cache.cancelBooking(bookingId);
    this.counters.cancellations += 1;
  }

  async #price(cache: MarketplaceCache): Promise<void> {
    const gpu = await this.#options.market.gpu(this.popular[this.#zipf.next()] ?? '');
    if (gpu === undefined) return;
    const price = Math.round((0.2 + 5 * this.#options.random()) * 100) / 100;
    await cache.updateGpuPricing(gpu.gpuType, price, gpu.region);
    this.counters.prices += 1;
  }
}
