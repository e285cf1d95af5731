import type { Redis } from 'ioredis';
import { z } from 'zod';
import { json } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { Migration, redisJson } from '../../client/migration/migration.ts';
import type { Database } from './database.ts';

const price = z.object({ perHour: z.number(), version: z.number(), changedAt: z.number() });

/** The prices of an application, on their way from a TTL-only cache in Redis to Edge Cache. */
export function migratePrices(redis: Redis, client: EdgeCacheClient, database: Database, ttlMs: number) {
  const migration = new Migration({ client, phase: 'observe', sampleShare: 1 });
  const prices = migration.cache('gpu_pricing', {
    existing: redisJson(redis, { prefix: 'price:', ttlMs }, (value) => price.parse(value)),
    load: (key) => database.price(key),
    versionOf: ({ version }) => version,
    changedAt: ({ changedAt }) => changedAt,
    edge: { codec: json((value) => price.parse(value)) },
  });
  return { migration, prices };
}
