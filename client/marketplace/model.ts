import { z } from 'zod';
import { json } from '../codec.ts';

/** Values of the marketplace as they are cached: JSON, checked when read. */

const text = z.string().min(1).max(256);
const amount = z.number().min(0);

export const gpuStatusSchema = z.object({
  gpuId: text,
  gpuType: text,
  region: text,
  providerId: text,
  available: z.boolean(),
  bookingId: text.optional(),
  /** Counts the changes of this GPU in the source of truth. */
  revision: z.number().int().min(0),
});
export type GpuStatus = z.infer<typeof gpuStatusSchema>;

export const availabilitySchema = z.object({
  region: text,
  gpuType: text,
  total: z.number().int().min(0),
  /** How many are free, listed or not. */
  free: z.number().int().min(0),
  /** Ids of GPUs that are free; as many as the source gives. */
  available: z.array(text),
});
export type GpuAvailability = z.infer<typeof availabilitySchema>;

export const pricingSchema = z.object({
  gpuType: text,
  region: text,
  pricePerHour: amount,
  currency: z.literal('USD'),
  revision: z.number().int().min(0),
});
export type GpuPricing = z.infer<typeof pricingSchema>;

const offer = z.object({ pricePerHour: amount, count: z.number().int().min(0) });
export const orderBookSchema = z.object({
  gpuType: text,
  region: text,
  bids: z.array(offer),
  asks: z.array(offer),
});
export type OrderBook = z.infer<typeof orderBookSchema>;

export const providerStatusSchema = z.object({
  providerId: text,
  online: z.boolean(),
  /** From 0 to 1, of the last 24 hours. */
  uptime: z.number().min(0).max(1),
});
export type ProviderStatus = z.infer<typeof providerStatusSchema>;

export const marketStatsSchema = z.object({
  /** A region, or `all`. */
  region: text,
  total: z.number().int().min(0),
  booked: z.number().int().min(0),
  /** From 0 to 1. */
  utilization: z.number().min(0).max(1),
});
export type MarketStats = z.infer<typeof marketStatsSchema>;

export const bookingSchema = z.object({
  bookingId: text,
  gpuId: text,
  gpuType: text,
  region: text,
  customerId: text,
});
export type Booking = z.infer<typeof bookingSchema>;

export const CODECS = {
  gpuStatus: json((value) => gpuStatusSchema.parse(value)),
  availability: json((value) => availabilitySchema.parse(value)),
  pricing: json((value) => pricingSchema.parse(value)),
  orderBook: json((value) => orderBookSchema.parse(value)),
  providerStatus: json((value) => providerStatusSchema.parse(value)),
  marketStats: json((value) => marketStatsSchema.parse(value)),
} as const;
