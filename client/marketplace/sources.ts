import type {
  Booking,
  GpuAvailability,
  GpuPricing,
  GpuStatus,
  MarketStats,
  OrderBook,
  ProviderStatus,
} from './model.ts';

/**
 * The sources of truth: what the application's database answers and decides. Each answers undefined for what it
 * does not know; that is cached as well, and is not an error.
 */
export interface MarketplaceSources {
  gpu(gpuId: string): Promise<GpuStatus | undefined>;
  availability(region: string, gpuType: string): Promise<GpuAvailability | undefined>;
  pricing(region: string, gpuType: string): Promise<GpuPricing | undefined>;
  orderBook(region: string, gpuType: string): Promise<OrderBook | undefined>;
  provider(providerId: string): Promise<ProviderStatus | undefined>;
  /** A region's, or those of all regions for `all`. */
  stats(region: string): Promise<MarketStats | undefined>;

  /**
   * Books a GPU if it is free: atomically, because this decides. Answers the GPU as it is afterwards, or undefined where
   * somebody else has it. Called again with the same booking id it answers the same.
   */
  book(booking: Booking): Promise<GpuStatus | undefined>;
  /**
   * Frees the GPU of a booking, if it is still that booking's. Answers the booking that ended and the GPU as it is
   * now, or undefined where there never was one. Called again with the same id it answers the same, so that a
   * cancellation that failed half-way can be completed.
   */
  cancel(bookingId: string): Promise<{ booking: Booking; gpu: GpuStatus } | undefined>;
  /** Puts a GPU into or out of service. One that is booked must not become available by it. */
  saveGpu(status: Pick<GpuStatus, 'gpuId' | 'available'>): Promise<GpuStatus | undefined>;
  savePrice(region: string, gpuType: string, pricePerHour: number): Promise<GpuPricing | undefined>;
  saveOrderBook(book: OrderBook): Promise<OrderBook>;
  saveProvider(status: ProviderStatus): Promise<ProviderStatus>;
}
