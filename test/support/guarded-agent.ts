import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { expect, onTestFinished } from 'vitest';
import type { AgentFile } from '../../api/agent-config.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../../client/edge-cache-client.ts';
import type { RedisServer } from '../../hack/local/redis-server.ts';
import { EdgeCacheService } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { standalone, startAgent, type TestAgent } from './cache.ts';

export type Security = NonNullable<AgentFile['security']>;
export type Rules = NonNullable<Security['accessRules']>;

export const OPS = 'ops-token-of-16-or-more';
export const APP = 'app-token-of-16-or-more';
export const NAMESPACES = [
  { name: 'a', ttlSeconds: 60 },
  { name: 'b', ttlSeconds: 60, invalidatedBy: ['b_changed'] },
];
/** Who has the second token may read in one namespace, who has the first may do everything. */
export const RULES: Rules = [
  { identities: ['token:ops'], namespaces: ['*'], allow: ['read', 'write', 'invalidate', 'admin'] },
  { identities: ['token:app', 'cert:app'], namespaces: ['a'], allow: ['read'] },
];

export interface Setting {
  readonly redis: RedisServer;
  readonly security?: Security;
  readonly env?: Record<string, string>;
  readonly more?: Partial<Parameters<typeof startAgent>[0]>;
}

/** An agent of a cache of its own, stopped with the test. */
export async function startGuarded({
  redis,
  security = {},
  env = {},
  more = {},
}: Setting): Promise<TestAgent> {
  const file = {
    cacheId: `auth-${Math.random()}`.replace('.', ''),
    redis: standalone(redis.port),
    namespaces: NAMESPACES,
    security,
  };
  const agent = await startAgent({ file, env, ...more });
  onTestFinished(() => agent.stop());
  return agent;
}

export const startWithTokens = (redis: RedisServer) =>
  startGuarded({
    redis,
    security: { auth: { required: true }, accessRules: RULES },
    env: { CACHE_AUTH_TOKEN: `ops=${OPS},app=${APP}` },
  });

export function clientOf({ address }: TestAgent, options: Partial<EdgeCacheClientOptions>): EdgeCacheClient {
  const client = new EdgeCacheClient({
    addresses: [address],
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

export const UNKNOWN = { code: 'EC_CLIENT_UNAUTHENTICATED' };
export const denied = (what: string) => ({
  code: 'EC_CLIENT_PERMISSION_DENIED',
  message: expect.stringContaining(what),
});

/** Follows until the stream ends. @returns how it ended */
export function watch({ address }: TestAgent, token: string, namespaces: string[]): Promise<number> {
  const client = new Client(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const { path, requestSerialize, responseDeserialize } = EdgeCacheService.watch;
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const request = { namespaces, clientId: 'test', leaseMs: 0 };
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    metadata,
  );
  stream.on('data', () => undefined);
  return new Promise((resolve) => {
    stream.on('error', ({ code }: ServiceError) => resolve(code));
    stream.on('end', () => resolve(status.OK));
  });
}
