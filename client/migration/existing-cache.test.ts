import { LRUCache } from 'lru-cache';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { anyCache, type ExistingCache, lruCache, redisJson, redisStrings } from './existing-cache.ts';

/** Real Redis is asked in test/integration; here it counts what is sent. */
function aRedis() {
  const sent: unknown[][] = [];
  const texts = new Map<string, string>();
  return {
    sent,
    get: async (key: string) => texts.get(key) ?? null,
    set: async (...args: [string, string, 'PX', number]) => {
      sent.push(args);
      texts.set(args[0], args[1]);
    },
    del: async (key: string) => texts.delete(key),
  };
}

const price = z.object({ amount: z.number() });
type Price = z.infer<typeof price>;

describe('each adapter', () => {
  const plain = new Map<string, Price>();
  const adapters: [string, ExistingCache<Price>][] = [
    ['redisJson', redisJson(aRedis(), { ttlMs: 1_000 }, (value) => price.parse(value))],
    ['lruCache', lruCache<Price>(new LRUCache<string, Price>({ max: 10 }))],
    ['anyCache', anyCache<Price>(plain)],
    ['anyCache with null', anyCache<Price>({ ...mapOf(), get: async () => null })],
  ];

  it.each(adapters)('%s says undefined for what is not there', async (_, cache) => {
    expect(await cache.get('k')).toBeUndefined();
  });

  it.each(adapters.slice(0, 3))('%s gives back what was set, until it is deleted', async (_, cache) => {
    await cache.set('k', { amount: 1 });
    expect(await cache.get('k')).toEqual({ amount: 1 });
    await cache.delete('k');
    expect(await cache.get('k')).toBeUndefined();
  });
});

function mapOf() {
  return { set: () => undefined, delete: () => undefined };
}

describe('redisStrings', () => {
  it('puts its prefix before keys, and gives each value a TTL', async () => {
    const redis = aRedis();
    const cache = redisStrings(redis, { prefix: 'price:', ttlMs: 60_000 });
    await cache.set('k', '1');
    await cache.set('k', '2', 500);
    expect(redis.sent).toEqual([
      ['price:k', '1', 'PX', 60_000],
      ['price:k', '2', 'PX', 500],
    ]);
  });
});

describe('redisJson', () => {
  it('refuses what another release of the application has written', async () => {
    const redis = aRedis();
    await redis.set('k', '{"cents":1}', 'PX', 1);
    const cache = redisJson(redis, { ttlMs: 1 }, (value) => price.parse(value));
    await expect(cache.get('k')).rejects.toThrow('amount');
  });
});

describe('lruCache', () => {
  it('passes a TTL on, and leaves the cache’s own otherwise', () => {
    const lru = new LRUCache<string, Price>({ max: 10, ttl: 60_000 });
    const cache = lruCache<Price>(lru);
    cache.set('own', { amount: 1 });
    cache.set('given', { amount: 1 }, 500);
    expect(lru.getRemainingTTL('own')).toBeGreaterThan(30_000);
    expect(lru.getRemainingTTL('given')).toBeLessThanOrEqual(500);
  });
});
