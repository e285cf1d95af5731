/**
 * Keys and tags of the marketplace. Readable, so that a resource can be found to invalidate it, and made of what a
 * thing is, never of when it was asked for. docs/marketplace.md has the table.
 */

export const NAMESPACE = {
  availability: 'gpu_avail',
  pricing: 'gpu_pricing',
  orderBook: 'order_book',
  provider: 'provider_status',
  stats: 'market_stats',
  historical: 'historical',
} as const;

export type MarketplaceNamespace = (typeof NAMESPACE)[keyof typeof NAMESPACE];

export const ALL_REGIONS = 'all';

/** Only what would end a part early is escaped, so that the rest stays readable. */
const part = (text: string) => text.replaceAll('%', '%25').replaceAll('/', '%2F');

/** Of all that is about a type of GPU in a region. */
const market = (region: string, gpuType: string) => `region/${part(region)}/type/${part(gpuType)}`;

export const keys = {
  gpu: (gpuId: string) => `gpu/${gpuId}`,
  availability: market,
  pricing: market,
  orderBook: market,
  provider: (providerId: string) => `provider/${providerId}`,
  stats: (region: string) => `region/${part(region)}`,
} as const;

export const tags = {
  gpu: (gpuId: string) => `gpu:${gpuId}`,
  region: (region: string) => `region:${region}`,
  type: (gpuType: string) => `type:${gpuType}`,
  provider: (providerId: string) => `provider:${providerId}`,
} as const;

/** Tags of whatever is about a type of GPU in a region. */
export function marketTags(region: string, gpuType: string): string[] {
  return [tags.region(region), tags.type(gpuType)];
}

export function gpuTags(gpu: {
  gpuId: string;
  gpuType: string;
  region: string;
  providerId: string;
}): string[] {
  return [tags.gpu(gpu.gpuId), ...marketTags(gpu.region, gpu.gpuType), tags.provider(gpu.providerId)];
}
