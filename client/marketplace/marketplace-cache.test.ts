import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EdgeCacheClient } from '../edge-cache-client.ts';
import { FakeAgent, fails } from '../testing/fake-agent.ts';
import {
  GpuNotAvailableError,
  IncompleteBookingError,
  MarketplaceError,
  UnknownMarketError,
} from './errors.ts';
import { InMemoryMarketplace } from './in-memory-marketplace.ts';
import { keys } from './keys.ts';
import { MarketplaceCache } from './marketplace-cache.ts';
import { demandPrice } from './pricing.ts';

const TYPE = 'mi250-128gb';
const booking = { gpuId: 'gpu_1', customerId: 'c', bookingId: 'b1' };

let agent: FakeAgent;
let client: EdgeCacheClient;
let market: InMemoryMarketplace;
let cache: MarketplaceCache;

beforeEach(async () => {
  agent = await FakeAgent.start();
  client = new EdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 2_000,
    random: () => 0,
  });
  market = new InMemoryMarketplace({ gpus: 60, regions: ['r'], random: () => 0.5 });
  cache = new MarketplaceCache({ client, sources: market });
});

afterEach(() => {
  client.close();
  agent.stop();
});

describe('a booking that fails half-way', () => {
  it('leaves no stale list of what is free when the price cannot be computed', async () => {
    market.pricing = () => Promise.reject(new Error('price database down'));
    expect((await cache.getGpuAvailability('r', TYPE))?.free).toBe(60);
    const failed = cache.createBooking(booking);
    await expect(failed).rejects.toThrow(IncompleteBookingError);
    await expect(failed).rejects.toMatchObject({
      code: 'EC_MARKET_INCOMPLETE',
      bookingId: 'b1',
      failed: ['price'],
    });
    expect((await cache.getGpuAvailability('r', TYPE))?.free).toBe(59);
    expect(await cache.getGpu('gpu_1')).toMatchObject({ available: false });
  });

  it('tells all nodes although the GPU’s own entry could not be written', async () => {
    await cache.getGpu('gpu_1');
    const full = fails(status.RESOURCE_EXHAUSTED, 'the queue is full');
    agent.next('put', full, full);
    agent.next('invalidate', full);
    await expect(cache.createBooking(booking)).rejects.toMatchObject({ failed: ['availability'] });
    expect(agent.calls('publish')).toMatchObject([{ event: { eventType: 'booking_created' } }]);
  });

  it('names the booking that stands, even where its id was chosen here, and is completed by it', async () => {
    agent.next('publish', fails(status.RESOURCE_EXHAUSTED));
    const failure: unknown = await cache.createBooking({ gpuId: 'gpu_1', customerId: 'c' }).catch((e) => e);
    if (!(failure instanceof IncompleteBookingError)) throw failure;
    const { bookingId } = failure;
    expect((await market.gpu('gpu_1'))?.bookingId).toBe(bookingId);
    const { gpu } = await cache.createBooking({ gpuId: 'gpu_1', customerId: 'c', bookingId });
    expect(gpu).toMatchObject({ bookingId, revision: 1 });
  });

  it('is refused without a trace when the database fails', async () => {
    market.book = () => Promise.reject(new Error('database down'));
    await expect(cache.createBooking(booking)).rejects.toThrow('database down');
    expect(await cache.getGpu('gpu_1')).toMatchObject({ available: true });
    expect(agent.calls('publish')).toEqual([]);
  });

  it('changes nothing while no agent can be reached: nobody could be told', async () => {
    const lonely = new EdgeCacheClient({ addresses: ['127.0.0.1:1'], connectTimeoutMs: 10 });
    const alone = new MarketplaceCache({ client: lonely, sources: market });
    await expect(alone.createBooking(booking)).rejects.toMatchObject({ code: 'EC_CLIENT_AGENT_UNAVAILABLE' });
    lonely.close();
    expect(await market.gpu('gpu_1')).toMatchObject({ available: true, revision: 0 });
  });
});

describe('a booking', () => {
  it('claims the entry that stands, not the one that was read before', async () => {
    const old = await cache.getGpu('gpu_1');
    if (old === undefined) throw new Error('gpu_1 exists');
    const versions: unknown[] = [];
    agent.next('put', (request) => {
      versions.push(JSON.parse(String(Reflect.get(Object(request), 'value'))).revision);
      throw new Error('enough');
    });
    // Between its two reads somebody booked and cancelled it.
    const value = Buffer.from(JSON.stringify({ ...old, revision: 2 }));
    const found = { found: true, version: '9-0', ttlMs: 1, source: 1 };
    const rest = { stale: false, degraded: false, leaseToken: '', retryAfterMs: 0, absent: false, tags: [] };
    const now = { ...found, ...rest, value };
    agent.next(
      'get',
      () => ({ ...now, value: Buffer.from(JSON.stringify(old)) }),
      () => now,
    );
    await cache.createBooking(booking).catch(() => undefined);
    expect(versions).toEqual([2]);
  });

  it('that was cancelled half-way can be cancelled again, and nobody else’s is', async () => {
    await cache.createBooking(booking);
    agent.next('publish', fails(status.RESOURCE_EXHAUSTED));
    await expect(cache.cancelBooking('b1')).rejects.toThrow(IncompleteBookingError);
    expect((await cache.cancelBooking('b1')).gpu).toMatchObject({ available: true, revision: 2 });
    await cache.createBooking({ ...booking, bookingId: 'b2' });
    expect((await cache.cancelBooking('b1')).gpu).toMatchObject({ available: false, bookingId: 'b2' });
  });

  it('stands though the GPU is put back into service: nobody books it twice', async () => {
    await cache.createBooking(booking);
    await cache.updateGpuStatus('gpu_1', true);
    const second = cache.createBooking({ ...booking, bookingId: 'b2' });
    await expect(second).rejects.toThrow(GpuNotAvailableError);
  });
});

describe('an update', () => {
  it('of a GPU shows in the statistics of its region and of all', async () => {
    for (const region of ['r', 'all']) expect((await cache.getMarketStats(region))?.booked).toBe(0);
    await cache.updateGpuStatus('gpu_1', false);
    for (const region of ['r', 'all']) expect((await cache.getMarketStats(region))?.booked).toBe(1);
  });

  it('of a price shows in the order book', async () => {
    await cache.getOrderBook(TYPE, 'r');
    await cache.updateGpuPricing(TYPE, 9, 'r');
    expect((await cache.getOrderBook(TYPE, 'r'))?.asks[0]?.pricePerHour).toBe(9);
  });

  it.each([[Number.POSITIVE_INFINITY], [Number.NaN], [-1]])('with the price %d is refused', async (price) => {
    await expect(cache.updateGpuPricing(TYPE, price, 'r')).rejects.toMatchObject({
      code: 'EC_MARKET_INVALID',
    });
    expect(await market.pricing('r', TYPE)).toMatchObject({ revision: 0 });
  });

  it('of a market that does not exist is refused', async () => {
    await expect(cache.updateGpuPricing('nope', 1, 'r')).rejects.toThrow(UnknownMarketError);
  });

  it('of a wrong form reaches neither the source nor the cache', async () => {
    await cache.getProviderStatus('lumen');
    const wrong = cache.updateProviderStatus({ providerId: 'lumen', online: true, uptime: 5 });
    await expect(wrong).rejects.toThrow(MarketplaceError);
    expect((await market.provider('lumen'))?.uptime).toBeLessThanOrEqual(1);
    expect(await cache.getProviderStatus('lumen')).toMatchObject({ online: true });
  });
});

describe('the rules', () => {
  it('price by all that is free, not by the part of it that is listed', async () => {
    const big = new InMemoryMarketplace({ gpus: 200, regions: ['r'], random: () => 0.5 });
    const all = await big.availability('r', TYPE);
    if (all === undefined) throw new Error('the market exists');
    expect(all.available.length).toBeLessThan(all.free);
    expect(demandPrice(2, all)).toBe(2);
  });

  it('give different markets different keys', () => {
    expect(keys.pricing('a', 'b/type/c')).not.toBe(keys.pricing('a/type/b', 'c'));
    expect(keys.pricing('us-east', 'RTX 4090')).toBe('region/us-east/type/RTX 4090');
  });
});
