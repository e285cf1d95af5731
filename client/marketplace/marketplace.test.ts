import { describe, expect, it } from 'vitest';
import { GPU_MODELS } from './catalogue.ts';
import { InMemoryMarketplace } from './in-memory-marketplace.ts';
import { keys } from './keys.ts';
import { demandPrice } from './pricing.ts';

describe('keys', () => {
  it('are the same whenever they are made', () => {
    expect(keys.gpu('gpu_1')).toBe('gpu/gpu_1');
    expect(keys.availability('us-east', 'h100')).toBe(keys.availability('us-east', 'h100'));
  });
});

describe('the demand price', () => {
  const market = (free: number) => ({
    region: 'r',
    gpuType: 't',
    total: 10,
    free,
    available: Array.from({ length: free }, (_, i) => `g${i}`),
  });

  it.each([
    [10, 2],
    [5, 2],
    [0, 3],
    [2, 2.6],
  ])('with %i of 10 free is %f', (free, price) => {
    expect(demandPrice(2, market(free))).toBeCloseTo(price);
  });

  it('of an empty market is the base price', () => {
    expect(demandPrice(2, { ...market(0), total: 0 })).toBe(2);
  });
});

describe('the marketplace in memory', () => {
  const aMarket = () => new InMemoryMarketplace({ gpus: 50, regions: ['us-east'], random: () => 0.5 });
  const booking = (bookingId: string) => ({
    bookingId,
    gpuId: 'gpu_1',
    gpuType: 'x',
    region: 'us-east',
    customerId: 'c',
  });

  it('has some twenty real models', () => {
    expect(GPU_MODELS.length).toBeGreaterThanOrEqual(20);
  });

  it('books a GPU once, and again for the same booking', async () => {
    const market = aMarket();
    const first = await market.book(booking('b1'));
    expect(first).toMatchObject({ available: false, bookingId: 'b1', revision: 1 });
    expect(await market.book(booking('b1'))).toEqual(first);
    expect(await market.book(booking('b2'))).toBeUndefined();
    expect(await market.stats('us-east')).toMatchObject({ total: 50, booked: 1 });
  });

  it('frees a GPU when its booking is cancelled', async () => {
    const market = aMarket();
    await market.book(booking('b1'));
    expect((await market.cancel('b1'))?.gpu).toMatchObject({ available: true, revision: 2 });
    expect((await market.cancel('b1'))?.gpu).toMatchObject({ available: true, revision: 2 });
    expect(await market.cancel('never')).toBeUndefined();
    expect(await market.stats('all')).toMatchObject({ booked: 0 });
  });

  it('knows nothing of what it does not have', async () => {
    const market = aMarket();
    expect(await market.gpu('nope')).toBeUndefined();
    expect(await market.book({ ...booking('b'), gpuId: 'nope' })).toBeUndefined();
    expect(await market.saveGpu({ gpuId: 'nope', available: true })).toBeUndefined();
  });
});
