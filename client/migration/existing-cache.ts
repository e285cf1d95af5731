/**
 * The cache that an application has today, as far as a migration needs it. `undefined` says that it has no such entry;
 * any other value, null too, is an answer.
 */
export interface ExistingCache<T> {
  get(key: string): T | undefined | Promise<T | undefined>;
  /** @param ttlMs left out: as this cache always does */
  set(key: string, value: T, ttlMs?: number): unknown;
  delete(key: string): unknown;
}

/** What {@link redisStrings} and {@link redisJson} use of a Redis client; ioredis has it. */
export interface RedisLike {
  get(key: string): Promise<string | null>;
  set(key: string, value: string, unit: 'PX', ttlMs: number): Promise<unknown>;
  del(key: string): Promise<unknown>;
}

export interface RedisCacheOptions {
  /** What stands before the key in Redis. Default: nothing. */
  readonly prefix?: string;
  /** Life of what is written without one of its own. */
  readonly ttlMs: number;
}

/** Strings in Redis, each with a TTL. */
export function redisStrings(
  redis: RedisLike,
  { prefix = '', ttlMs }: RedisCacheOptions,
): ExistingCache<string> {
  return {
    get: async (key) => (await redis.get(prefix + key)) ?? undefined,
    set: (key, value, life = ttlMs) => redis.set(prefix + key, value, 'PX', life),
    delete: (key) => redis.del(prefix + key),
  };
}

/**
 * JSON in Redis, each value with a TTL.
 * @param parse turns what JSON gave into the type, or throws: for instance a zod schema's `parse`.
 */
export function redisJson<T>(
  redis: RedisLike,
  options: RedisCacheOptions,
  parse: (value: unknown) => T,
): ExistingCache<T> {
  const strings = redisStrings(redis, options);
  return {
    get: async (key) => {
      const text = await strings.get(key);
      return text === undefined ? undefined : parse(JSON.parse(text));
    },
    set: (key, value, ttlMs) => strings.set(key, JSON.stringify(value), ttlMs),
    delete: (key) => strings.delete(key),
  };
}

/** What {@link lruCache} uses of a cache in memory; node-lru-cache (`lru-cache` of npm) has it. */
export interface LruLike<T> {
  get(key: string): T | undefined;
  set(key: string, value: T, options?: { ttl?: number }): unknown;
  delete(key: string): unknown;
}

/** A cache in this process' memory, with the TTL that it was made with. */
export function lruCache<T>(cache: LruLike<T>): ExistingCache<T> {
  return {
    get: (key) => cache.get(key),
    set: (key, value, ttlMs) => cache.set(key, value, ttlMs === undefined ? {} : { ttl: ttlMs }),
    delete: (key) => cache.delete(key),
  };
}

/** Whatever has `get` and `set`; without `delete`, a key that changed is left to its TTL, as it is today. */
export interface AnyCache<T> {
  get(key: string): T | null | undefined | Promise<T | null | undefined>;
  set(key: string, value: T, ttlMs?: number): unknown;
  delete?(key: string): unknown;
}

/** Any other cache; its null says that it has no such entry. */
export function anyCache<T>(cache: AnyCache<T>): ExistingCache<T> {
  return {
    get: async (key) => (await cache.get(key)) ?? undefined,
    set: (key, value, ttlMs) => cache.set(key, value, ttlMs),
    delete: (key) => cache.delete?.(key),
  };
}
