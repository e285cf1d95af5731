import { EventEmitter, once } from 'node:events';
import { Cluster } from 'ioredis';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CommandConnections } from '../../agent/redis/connections.ts';
import { redisSchema } from '../../api/redis.ts';
import { until } from '../../hack/local/children.ts';
import { RedisCluster } from '../../hack/local/redis-cluster.ts';

describe('the connection to a cluster', () => {
  it('is made again where its library gives up without a word', async () => {
    const cluster = await RedisCluster.start({ replicasPerMaster: 0 });
    onTestFinished(() => cluster.stop());
    const redis = redisSchema.parse({ mode: 'cluster', nodes: cluster.nodes });
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    const connections = new CommandConnections({ redis, credentials: {}, nodeId: 'n' }, log);
    onTestFinished(() => connections.close());
    await until('it is connected', () => connections.connected);
    const client = connections.next();
    if (!(client instanceof Cluster)) throw new Error('not a cluster');
    // What a busy machine does: the last connection of the old pool ends while names are resolved for the new one.
    const pool: unknown = Reflect.get(client, 'connectionPool');
    if (!(pool instanceof EventEmitter)) throw new Error('the library keeps its connections elsewhere');
    client.once('connecting', () => pool.emit('drain'));
    client.disconnect(true);
    await once(client, 'connecting');
    await until(
      'it is connected again',
      async () => connections.connected && (await client.ping()) === 'PONG',
    );
    expect(lines.join('')).toContain('connection to Redis was given up');
    expect(connections.failures).toBeGreaterThan(0);
  });
});
