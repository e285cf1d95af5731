import { Redis } from 'ioredis';
import { bytes } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { freePort, temporaryFolder } from '../../hack/local/children.ts';
import { cpuShares, inTurns, rate } from '../measure.ts';
import { fillForRedisBenchmark, redisBenchmark } from '../redis-benchmark.ts';
import type { BenchContext, Group, Row } from '../row.ts';
import { KEYS, keyOf, NAMESPACE, Stack, VALUE } from '../stack.ts';

/** Requests of one run of redis-benchmark: about as long as a round. */
const REQUESTS = 50_000;

async function start(stack: Stack, addresses = '') {
  const redis = await stack.redis();
  const agent = await stack.agent({
    nodeId: 'bench',
    file: { redis: { nodes: [`127.0.0.1:${redis.port}`] } },
    ...(addresses === '' ? {} : { env: { CACHE_GRPC_ADDRESS: addresses } }),
  });
  const peer = new Redis({ port: redis.port, enableAutoPipelining: true });
  stack.defer(() => peer.disconnect());
  await fillForRedisBenchmark(redis.port);
  for (let i = 0; i < KEYS; i++) await peer.set(keyOf(i), VALUE);
  return { redis, agent, peer };
}

async function fill(client: EdgeCacheClient): Promise<void> {
  for (let i = 0; i < KEYS; i++)
    await client.put(NAMESPACE, keyOf(i), VALUE, { codec: bytes, ttlMs: 3_600_000 });
}

export const stream: Group = {
  name: 'stream',
  about: 'lookups of 512 bytes on the Lookup stream of one client',
  run: async (context) => {
    await using stack = new Stack();
    const { redis, agent, peer } = await start(stack);
    const client = stack.client(agent.address);
    await fill(client);
    const rows: Row[] = [];
    for (const inFlight of [1, 16, 64, 256]) {
      const { result, cpu } = await cpuShares(
        { client: process.pid, agent: agent.pid, redis: redis.pid },
        () =>
          inTurns(context.rounds, [
            () => rate(inFlight, context.roundMs, (i) => client.get(NAMESPACE, keyOf(i), { codec: bytes })),
            () => rate(inFlight, context.roundMs, (i) => peer.getBuffer(keyOf(i))),
            () => redisBenchmark(redis.port, inFlight, REQUESTS),
            () => redisBenchmark(redis.port, 50, REQUESTS),
          ]),
      );
      const [ours = 0, pipelined = 0, equal = 0, fifty = 0] = result;
      const row = { what: `Lookup stream, ${inFlight} in flight`, unit: 'per second', ours } as const;
      context.say(row.what);
      rows.push({ ...row, cpu, peer: { name: 'ioredis, auto-pipelining', value: pipelined } });
      rows.push({ ...row, peer: { name: `redis-benchmark -c ${inFlight}`, value: equal } });
      if (inFlight === 64)
        rows.push({
          ...row,
          peer: { name: 'redis-benchmark -c 50', value: fifty },
          goal: { text: '≥ 2×', met: ours >= 2 * fifty },
        });
    }
    return rows;
  },
};

export const batch: Group = {
  name: 'batch',
  about: 'BatchGet of 512-byte values, eight calls in flight',
  run: async (context) => {
    await using stack = new Stack();
    const { redis, agent, peer } = await start(stack);
    const client = stack.client(agent.address);
    await fill(client);
    const rows: Row[] = [];
    for (const size of [1, 8, 32, 128]) {
      const keysAt = (i: number) => Array.from({ length: size }, (_, at) => keyOf(i + at));
      const { result, cpu } = await cpuShares(
        { client: process.pid, agent: agent.pid, redis: redis.pid },
        () =>
          inTurns(context.rounds, [
            () => rate(8, context.roundMs, (i) => client.getMany(NAMESPACE, keysAt(i), { codec: bytes })),
            () => rate(8, context.roundMs, (i) => peer.mgetBuffer(keysAt(i))),
          ]),
      );
      const [ours = 0, theirs = 0] = result.map((calls) => calls * size);
      rows.push({
        what: `lookups by BatchGet of ${size}`,
        unit: 'per second',
        ours,
        peer: { name: 'ioredis MGET', value: theirs },
        ...(size === 32 ? { goal: { text: '≥ 300,000/s', met: ours >= 300_000 } } : {}),
        cpu,
      });
      context.say(`BatchGet of ${size}`);
    }
    return rows;
  },
};

export const socket: Group = {
  name: 'socket',
  about: 'a unix socket beside TCP, for the same agent',
  run: async (context: BenchContext) => {
    await using stack = new Stack();
    const path = `${temporaryFolder('bench')}/agent.sock`;
    const tcp = `127.0.0.1:${await freePort()}`;
    await start(stack, `${tcp},unix:${path}`);
    const clients = [stack.client(`unix:${path}`), stack.client(tcp)] as const;
    await fill(clients[1]);
    const alone = [`unix:${path}`, tcp].map((address) =>
      stack.client(address, { lookups: { stream: false } }),
    );
    const rows: Row[] = [];
    const compare = async (what: string, pair: readonly EdgeCacheClient[], inFlight: number) => {
      const [ours = 0, theirs = 0] = await inTurns(
        context.rounds,
        pair.map(
          (client) => () =>
            rate(inFlight, context.roundMs, (i) => client.get(NAMESPACE, keyOf(i), { codec: bytes })),
        ),
      );
      rows.push({ what, unit: 'per second', ours, peer: { name: 'the same by TCP', value: theirs } });
    };
    await compare('unix socket, Lookup stream, 1 in flight', clients, 1);
    await compare('unix socket, Lookup stream, 64 in flight', clients, 64);
    await compare('unix socket, unary Get, 16 in flight', alone, 16);
    return rows;
  },
};
