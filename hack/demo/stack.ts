import { fileURLToPath } from 'node:url';
import type { EdgeCacheTier } from '../../api/tier.ts';
import { EdgeCacheClient, type StatsResponse } from '../../client/edge-cache-client.ts';
import { LocalAgent } from '../local/local-agent.ts';
import { RedisCluster } from '../local/redis-cluster.ts';
import { loadTiers, localAgentFile } from '../local/tiers.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));

/** One agent of the demo with a client of the pods on its node. */
export interface Node {
  readonly tier: EdgeCacheTier;
  readonly agent: LocalAgent;
  /** What pods on the node use: its own agent, and the others where that one is away. */
  readonly addresses: readonly string[];
  readonly client: EdgeCacheClient;
  /** Asks this agent and no other. */
  readonly own: EdgeCacheClient;
}

export interface Stack {
  readonly cluster: RedisCluster;
  readonly nodes: readonly Node[];
  readonly stop: () => Promise<void>;
}

/** Brings up Redis and an agent for each example tier. */
export async function startStack(say: (line: string) => void): Promise<Stack> {
  say('starting a Redis Cluster: three masters, each with a replica');
  const cluster = await RedisCluster.start();
  const tiers = loadTiers(EXAMPLES);
  say(`starting ${tiers.length} agents, one for each tier of examples/`);
  const redis = { mode: 'cluster' as const, nodes: cluster.nodes };
  const agents = await Promise.all(
    tiers.map((tier) =>
      LocalAgent.start({
        nodeId: tier.metadata.name,
        file: localAgentFile(tier, redis),
        restart: true,
        onRestart: (nodeId) => say(`agent ${nodeId} died and was started again`),
      }),
    ),
  );
  const nodes = agents.map((agent, i) => {
    const tier = tiers[i];
    if (tier === undefined) throw new Error('an agent without tier');
    const addresses = [agent, ...agents.filter((other) => other !== agent)].map(({ address }) => address);
    return {
      tier,
      agent,
      addresses,
      client: new EdgeCacheClient({ addresses }),
      own: new EdgeCacheClient({ addresses: [agent.address] }),
    };
  });
  return {
    cluster,
    nodes,
    stop: async () => {
      for (const { client, own } of nodes) {
        client.close();
        own.close();
      }
      await Promise.all(agents.map((agent) => agent.stop()));
      await cluster.stop();
    },
  };
}

/** Statistics of an agent itself, with some of its hottest keys, or nothing while it is away. */
export async function statsOf({ own }: Node, top = 0): Promise<StatsResponse | undefined> {
  try {
    return await own.stats({ top });
  } catch {
    return undefined;
  }
}

/** The shortest lease of an agent's partitions in milliseconds: above 0, all of its memory may answer. */
export async function leaseOf({ agent }: Node): Promise<number> {
  try {
    const status: unknown = await (await agent.fetch('/statusz')).json();
    const partitions: unknown = Reflect.get(Object(status), 'partitions');
    if (!Array.isArray(partitions)) return 0;
    return Math.min(...partitions.map((place: unknown) => Number(Reflect.get(Object(place), 'leaseMs'))));
  } catch {
    return 0;
  }
}
