import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  GpuNotAvailableError,
  UnknownBookingError,
  UnknownGpuError,
} from '../../client/marketplace/errors.ts';
import { InMemoryMarketplace } from '../../client/marketplace/in-memory-marketplace.ts';
import { MarketplaceCache } from '../../client/marketplace/marketplace-cache.ts';
import { demandPrice } from '../../client/marketplace/pricing.ts';
import { seededRandom } from '../../hack/demo/random.ts';
import { until } from '../../hack/local/children.ts';
import { RedisCluster } from '../../hack/local/redis-cluster.ts';
import { startAgent, type TestAgent } from '../support/cache.ts';

describe('the marketplace on two nodes and a Redis Cluster', () => {
  let cluster: RedisCluster;
  let agents: TestAgent[];
  let here: MarketplaceCache;
  let there: MarketplaceCache;
  let market: InMemoryMarketplace;

  beforeAll(async () => {
    cluster = await RedisCluster.start({ replicasPerMaster: 0 });
    const redis = { mode: 'cluster' as const, nodes: cluster.nodes };
    agents = [
      await startAgent({ file: { redis, nodeId: 'here' } }),
      await startAgent({ file: { redis, nodeId: 'there' } }),
    ];
    market = new InMemoryMarketplace({ gpus: 200, regions: ['us-east', 'eu-west'], random: seededRandom(1) });
    const caches = agents.map(
      ({ client }) =>
        new MarketplaceCache({
          client,
          sources: market,
          confirm: true,
          reprice: ({ pricePerHour }, free) => demandPrice(pricePerHour, free),
        }),
    );
    const [first, second] = caches;
    if (first === undefined || second === undefined) throw new Error('two caches');
    here = first;
    there = second;
  });

  afterAll(async () => {
    await Promise.all((agents ?? []).map((agent) => agent.stop()));
    await cluster?.stop();
  });

  it('reads everything through the cache, and what does not exist is known not to', async () => {
    const gpu = await here.getGpu('gpu_0');
    if (gpu === undefined) throw new Error('gpu_0 exists');
    const { region, gpuType, providerId } = gpu;
    expect(await here.getGpuAvailability(region, gpuType)).toMatchObject({ region, gpuType });
    expect(await here.getGpuPricing(gpuType, region)).toMatchObject({ currency: 'USD' });
    expect(await here.getOrderBook(gpuType, region)).toMatchObject({ gpuType });
    expect(await here.getProviderStatus(providerId)).toMatchObject({ online: true });
    expect(await here.getMarketStats()).toMatchObject({ region: 'all', total: 200 });
    expect(await there.getGpus(['gpu_0', 'nope'])).toEqual([gpu, undefined]);
    expect(await there.getGpus(['nope'])).toEqual([undefined]);
  });

  it('shows a booking’s five effects on the other node', async () => {
    const gpu = await there.getGpu('gpu_5');
    if (gpu === undefined) throw new Error('gpu_5 exists');
    const { region, gpuType } = gpu;
    const before = {
      list: await there.getGpuAvailability(region, gpuType),
      book: await there.getOrderBook(gpuType, region),
      stats: await there.getMarketStats(region),
      all: await there.getMarketStats(),
      price: await there.getGpuPricing(gpuType, region),
    };
    expect(before.list?.available).toContain('gpu_5');
    const { booking, changed } = await here.createBooking({ gpuId: 'gpu_5', customerId: 'c1' });
    expect(changed.confirmation).toMatchObject({ agentsLive: 2, agentsApplied: 2 });
    expect(await there.getGpu('gpu_5')).toMatchObject({ available: false, bookingId: booking.bookingId });
    expect((await there.getGpuAvailability(region, gpuType))?.available).not.toContain('gpu_5');
    expect((await there.getOrderBook(gpuType, region))?.asks[0]?.count).toBe(
      (before.book?.asks[0]?.count ?? 0) - 1,
    );
    expect((await there.getMarketStats(region))?.booked).toBe((before.stats?.booked ?? 0) + 1);
    expect((await there.getMarketStats())?.booked).toBe((before.all?.booked ?? 0) + 1);
    expect(await there.getGpuPricing(gpuType, region)).toEqual(await market.pricing(region, gpuType));
    await here.cancelBooking(booking.bookingId);
    expect(await there.getGpu('gpu_5')).toMatchObject({ available: true });
    expect((await there.getGpuAvailability(region, gpuType))?.available).toContain('gpu_5');
  });

  it('lets exactly one of two simultaneous bookings win, however often they race', async () => {
    for (let round = 0; round < 25; round++) {
      const gpuId = `gpu_${100 + round}`;
      const tries = [here, there, here, there].map((cache, i) =>
        cache.createBooking({ gpuId, customerId: `c${i}` }),
      );
      const results = await Promise.allSettled(tries);
      const lost = results.filter((result) => result.status === 'rejected');
      expect(lost.length).toBe(3);
      for (const { reason } of lost) expect(reason).toBeInstanceOf(GpuNotAvailableError);
      expect(await there.getGpu(gpuId)).toEqual(await market.gpu(gpuId));
    }
  });

  it('refuses to book what does not exist, and to cancel it', async () => {
    await expect(here.createBooking({ gpuId: 'nope', customerId: 'c' })).rejects.toThrow(UnknownGpuError);
    await expect(here.cancelBooking('nope')).rejects.toThrow(UnknownBookingError);
    await expect(here.updateGpuStatus('nope', true)).rejects.toThrow(UnknownGpuError);
    await expect(here.updateGpuPricing('t4-16gb', -1, 'us-east')).rejects.toThrow(/pricePerHour: got -1/);
  });

  it('books once for the same booking id', async () => {
    const first = await here.createBooking({ gpuId: 'gpu_9', customerId: 'c', bookingId: 'same' });
    const second = await there.createBooking({ gpuId: 'gpu_9', customerId: 'c', bookingId: 'same' });
    expect(second.gpu).toEqual(first.gpu);
  });

  it('ends with the truth in the cache, whichever of two writers is last', async () => {
    const { region, gpuType } = (await market.gpu('gpu_20')) ?? {};
    if (region === undefined || gpuType === undefined) throw new Error('gpu_20 exists');
    for (let round = 0; round < 20; round++) {
      const prices = [here, there, here].map((cache, i) =>
        cache.updateGpuPricing(gpuType, 1 + round + i / 10, region),
      );
      await Promise.all(prices);
      const truth = await market.pricing(region, gpuType);
      for (const cache of [here, there]) expect(await cache.getGpuPricing(gpuType, region)).toEqual(truth);
    }
  });

  it('shows provider, order book and service changes at once', async () => {
    await there.getProviderStatus('lumen');
    await here.updateProviderStatus({ providerId: 'lumen', online: false, uptime: 0.5 });
    expect(await there.getProviderStatus('lumen')).toMatchObject({ online: false });
    const book = { gpuType: 't4-16gb', region: 'us-east', bids: [], asks: [{ pricePerHour: 0.1, count: 3 }] };
    await there.getOrderBook(book.gpuType, book.region);
    await here.updateOrderBook(book);
    expect(await there.getOrderBook(book.gpuType, book.region)).toEqual(book);
    await there.getGpu('gpu_30');
    await here.updateGpuStatus('gpu_30', false);
    expect(await there.getGpu('gpu_30')).toMatchObject({ available: false });
  });

  it('drops a namespace on demand, and says how it is', async () => {
    await here.getGpu('gpu_40');
    expect((await here.invalidateCache('gpu_avail', 'a test')).state).toBe('applied');
    expect(await here.healthCheck()).toMatchObject({ healthy: true, status: 'healthy' });
    expect((await here.getCacheStats()).nodeId).toBe('here');
  });

  it('answers from the database while its agent is away, and says so', async () => {
    const away = agents.shift();
    onTestFinished(() => away?.client.close());
    await away?.agent.stop();
    expect(await here.getGpu('gpu_41')).toEqual(await market.gpu('gpu_41'));
    expect(await here.getGpus(['gpu_41', 'nope'])).toEqual([await market.gpu('gpu_41'), undefined]);
    await until('it says so', async () => (await here.healthCheck()).status === 'unreachable');
  });
});
