import { EdgeCacheClient, type EdgeCacheClientOptions } from '../client/edge-cache-client.ts';
import { LocalAgent, type LocalAgentOptions } from '../hack/local/local-agent.ts';
import { RedisCluster } from '../hack/local/redis-cluster.ts';
import { RedisServer } from '../hack/local/redis-server.ts';

/** Critical, and so the dearest kind of namespace. */
export const NAMESPACE = 'gpu_avail';
export const KEYS = 400;
export const VALUE = Buffer.alloc(512, 'x');
export const keyOf = (i: number) => `key-${i % KEYS}`;

/** What a group has started, to be ended when it is over. */
export class Stack implements AsyncDisposable {
  readonly #open: (() => unknown)[] = [];

  async redis(): Promise<RedisServer> {
    const redis = await RedisServer.start();
    this.defer(() => redis.stop());
    return redis;
  }

  /** Three masters, each with a replica. */
  async cluster(): Promise<RedisCluster> {
    const cluster = await RedisCluster.start();
    this.defer(() => cluster.stop());
    return cluster;
  }

  async agent(options: LocalAgentOptions): Promise<LocalAgent> {
    const agent = await LocalAgent.start(options);
    this.defer(() => agent.stop());
    return agent;
  }

  client(address: string, options: Partial<EdgeCacheClientOptions> = {}): EdgeCacheClient {
    const client = new EdgeCacheClient({
      addresses: [address],
      connectTimeoutMs: 2_000,
      deadlineMs: 10_000,
      ...options,
    });
    this.defer(() => client.close());
    return client;
  }

  /** Ends something when all is over; the last first. */
  defer(end: () => unknown): void {
    this.#open.push(end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#open.reverse()) await end();
  }
}
