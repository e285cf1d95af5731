import type { GpuAvailability } from './model.ts';

/** New price for what is free of what there is. Must be pure: the same market has the same price. */
export type PriceRule = (base: number, market: GpuAvailability) => number;

/** Above this share of booked GPUs the price rises. */
const CALM_UTILIZATION = 0.5;
const MAX_SURCHARGE = 0.5;

/** The base price while less than half is booked, rising linearly to one and a half times of it when all is. */
export const demandPrice: PriceRule = (base, { total, free }) => {
  const utilization = total === 0 ? 0 : 1 - free / total;
  const surcharge = Math.max(0, (utilization - CALM_UTILIZATION) / (1 - CALM_UTILIZATION)) * MAX_SURCHARGE;
  return Math.round(base * (1 + surcharge) * 10_000) / 10_000;
};
