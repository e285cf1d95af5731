import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { freePort, until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisCluster } from '../../hack/local/redis-cluster.ts';
import { type Fault, FaultProxy } from './proxy.ts';

export const CHAOS_STALENESS_MS = 1_000;
export const CHAOS_PARTITIONS = 16;
/** Of each namespace, so little that Redis evicts some entry all the time: four of five fit into a partition. */
const L2_MEMORY_LIMIT = '24k';
export const PUT_NAMESPACE = 'chaos_put';
export const LOAD_NAMESPACE = 'chaos_load';
export const BULK_NAMESPACE = 'chaos_bulk';

export interface ChaosAgent {
  readonly name: string;
  readonly process: LocalAgent;
  readonly client: EdgeCacheClient;
  /** An application of the node, with a near cache. */
  readonly near: EdgeCacheClient;
}

export interface WorldOptions {
  readonly agents?: number;
  /** The script that agents are started from: the product's, or one that breaks it on purpose. */
  readonly main?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A Redis Cluster with replicas behind proxies, and agents that reach it only through them. */
export class World {
  readonly cluster: RedisCluster;
  readonly agents: readonly ChaosAgent[];
  readonly faults: Map<string, Fault>;
  readonly proxies: readonly FaultProxy[];

  private constructor(
    cluster: RedisCluster,
    agents: ChaosAgent[],
    faults: Map<string, Fault>,
    proxies: FaultProxy[],
  ) {
    this.cluster = cluster;
    this.agents = agents;
    this.faults = faults;
    this.proxies = proxies;
  }

  static async start({ agents: count = 3, main, env = {} }: WorldOptions = {}): Promise<World> {
    const faults = new Map<string, Fault>();
    const proxies: FaultProxy[] = [];
    const cluster = await RedisCluster.start({
      announce: async (target) => {
        const proxy = await FaultProxy.start(await freePort(), target, faults);
        proxies.push(proxy);
        return proxy.port;
      },
    });
    const names = Array.from({ length: count }, (_, i) => `agent-${i}`);
    const agents = await Promise.all(names.map((name) => startAgent(name, cluster, main, env)));
    return new World(cluster, agents, faults, proxies);
  }

  /** Sets a fault on an agent's connections, or ends it. */
  fault(kind: 'events' | 'commands', agent: string, fault: Fault | undefined): void {
    const name = `${kind}:${agent}`;
    if (fault === undefined) this.faults.delete(name);
    else this.faults.set(name, fault);
  }

  cut(kind: 'events' | 'commands', agent: string): void {
    for (const proxy of this.proxies) proxy.cut(`${kind}:${agent}`);
  }

  /** Ends all faults and waits until everything serves again. */
  async heal(): Promise<void> {
    this.faults.clear();
    for (const { name, process } of this.agents) {
      process.signal('SIGCONT');
      // What a blackhole swallowed never comes: those connections must be found dead, not mended.
      for (const kind of ['events', 'commands'] as const) this.cut(kind, name);
    }
    for (const server of this.cluster.servers) if (!server.running) await server.start();
    await this.cluster.healthy();
    await Promise.all(this.agents.map(({ process }) => process.ready(60_000)));
    await until(
      'all outboxes are empty',
      async () => {
        const stats = await Promise.all(this.agents.map(({ client }) => client.stats()));
        return stats.every(({ events }) => events?.outboxSize === 0);
      },
      { timeoutMs: 60_000, everyMs: 100 },
    );
  }

  async stop(): Promise<void> {
    for (const { client, near } of this.agents) {
      client.close();
      near.close();
    }
    await Promise.all(this.agents.map(({ process }) => process.stop('SIGKILL')));
    for (const proxy of this.proxies) proxy.close();
    await this.cluster.stop();
  }
}

async function startAgent(
  name: string,
  cluster: RedisCluster,
  main: string | undefined,
  env: Readonly<Record<string, string>>,
): Promise<ChaosAgent> {
  const process = await LocalAgent.start({
    nodeId: name,
    restart: true,
    ...(main === undefined ? {} : { main }),
    // The inspector, on any free port, lets the checker stall the event loop.
    env: { LOG_LEVEL: 'info', NODE_OPTIONS: '--inspect-port=0', ...env },
    file: {
      cacheId: 'chaos',
      partitions: CHAOS_PARTITIONS,
      maxStalenessMs: CHAOS_STALENESS_MS,
      l1: { maxEntries: 60 },
      redis: { mode: 'cluster', nodes: cluster.nodes, commandTimeoutMs: 500 },
      namespaces: [
        // One replica each must have a change: a failover may then lose nothing that was acknowledged.
        {
          name: PUT_NAMESPACE,
          critical: true,
          ttlSeconds: 60,
          minReplicas: 1,
          l2MemoryLimit: L2_MEMORY_LIMIT,
          // All but the first send values with their events, and put them in the place of what they hold.
          pushValueBytes: name === 'agent-0' ? 0 : 1_024,
        },
        {
          name: LOAD_NAMESPACE,
          critical: true,
          ttlSeconds: 60,
          minReplicas: 1,
          l2MemoryLimit: L2_MEMORY_LIMIT,
        },
        { name: BULK_NAMESPACE, ttlSeconds: 60, l2MemoryLimit: L2_MEMORY_LIMIT },
      ],
    },
  });
  const client = new EdgeCacheClient({ addresses: [process.address], deadlineMs: 2_000, changeTries: 1 });
  const near = new EdgeCacheClient({
    addresses: [process.address],
    deadlineMs: 2_000,
    changeTries: 1,
    // Small, so that entries come and go.
    near: {
      namespaces: { [PUT_NAMESPACE]: { maxEntries: 40 }, [LOAD_NAMESPACE]: { maxEntries: 40 } },
      renewMs: 100,
    },
  });
  return { name, process, client, near };
}
