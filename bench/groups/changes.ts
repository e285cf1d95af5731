import { Cluster, Redis, type Redis as RedisClient } from 'ioredis';
import { anyJson } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { Eyes } from '../eyes.ts';
import { cpuShares, inTurns, quantile, rate } from '../measure.ts';
import { type Bento, bentoWithBus } from '../peers/bentocache.ts';
import type { Group, Row } from '../row.ts';
import { NAMESPACE, Stack } from '../stack.ts';

const CHANGES = 400;

/** Three agents on a Redis Cluster, each with a client. */
async function threeAgents(stack: Stack) {
  const cluster = await stack.cluster();
  const file = { redis: { mode: 'cluster' as const, nodes: cluster.nodes } };
  const agents = await Promise.all(['a', 'b', 'c'].map((nodeId) => stack.agent({ nodeId, file })));
  const clients = agents.map(({ address }) => stack.client(address));
  const [writer, reader] = clients;
  if (writer === undefined || reader === undefined) throw new Error('three agents');
  return { cluster, agents, clients, writer, reader };
}

export const propagation: Group = {
  name: 'propagation',
  about: 'from a change on one node to its absence in the memory of the others; three agents, Redis Cluster',
  run: async ({ say }) => {
    await using stack = new Stack();
    const { agents, clients, writer, reader } = await threeAgents(stack);
    const eyes = await Eyes.open(
      stack,
      agents.map(({ address }) => address),
    );
    const gone: number[] = [];
    const fresh: number[] = [];
    for (let i = 0; i < CHANGES; i++) {
      const beganAt = performance.now();
      const seen = eyes.all(`k${i % 50}`);
      await writer.put(NAMESPACE, `k${i % 50}`, i);
      await seen;
      gone.push(performance.now() - beganAt);
    }
    say('changes until gone');
    for (let i = 0; i < CHANGES; i++) fresh.push(await firstFresh(writer, reader, i));
    say('first fresh reads');
    const peer = await bentoTimes(stack);
    return [
      ...(await asAgentsSay(clients)),
      ...times('change begun → gone from all three L1', gone, peer.gone, 'bentocache, one other node'),
      ...times('change begun → first fresh read elsewhere', fresh, peer.fresh, 'bentocache'),
    ];
  },
};

/** From the log's time to L1's, by the clock of Redis as each agent estimates it; the worst of them. */
async function asAgentsSay(clients: readonly EdgeCacheClient[]): Promise<Row[]> {
  const stats = await Promise.all(clients.map((client) => client.stats()));
  const worst = (read: (events: NonNullable<(typeof stats)[0]['events']>) => number) =>
    Math.max(...stats.map(({ events }) => (events === undefined ? Number.NaN : read(events))));
  const p50 = worst(({ propagationP50Ms }) => propagationP50Ms);
  const p99 = worst(({ propagationP99Ms }) => propagationP99Ms);
  const what = 'logged in Redis → gone from L1, worst agent';
  return [
    { what: `${what}, p50`, unit: 'ms', ours: p50, goal: { text: '< 1 ms', met: p50 < 1 } },
    { what: `${what}, p99`, unit: 'ms', ours: p99, goal: { text: '< 10 ms', met: p99 < 10 } },
  ];
}

function times(what: string, ours: number[], peer: number[], name: string, goal?: Row['goal']): Row[] {
  return [0.5, 0.99].map((q) => ({
    what: `${what}, p${q * 100}`,
    unit: 'ms' as const,
    ours: quantile(ours, q),
    peer: { name, value: quantile(peer, q) },
    ...(goal === undefined ? {} : { goal }),
  }));
}

async function firstFresh(writer: EdgeCacheClient, reader: EdgeCacheClient, value: number): Promise<number> {
  const key = `f${value % 50}`;
  await reader.getOrLoad(NAMESPACE, key, async () => -1);
  const beganAt = performance.now();
  const written = writer.put(NAMESPACE, key, value);
  for (;;) {
    const found = await reader.get(NAMESPACE, key, { codec: anyJson });
    if (found.status === 'hit' && found.value === value) break;
  }
  const ms = performance.now() - beganAt;
  await written;
  return ms;
}

/** Two instances of one process, as two nodes: what lies between them is Redis and its bus. */
async function bentoTimes(stack: Stack): Promise<{ gone: number[]; fresh: number[] }> {
  const redis = await stack.redis();
  const [a, b] = [await bentoWithBus(redis.port), await bentoWithBus(redis.port)];
  stack.defer(() => Promise.all([a.disconnectAll(), b.disconnectAll()]));
  const gone: number[] = [];
  const fresh: number[] = [];
  let told: (() => void) | undefined;
  b.on('bus:message:received', () => told?.());
  for (let i = 0; i < CHANGES; i++) {
    const key = `k${i % 50}`;
    await b.get({ key });
    const beganAt = performance.now();
    const heard = new Promise<void>((resolve) => {
      told = resolve;
    });
    await a.set({ key, value: i, ttl: '1h' });
    await heard;
    gone.push(performance.now() - beganAt);
  }
  told = undefined;
  for (let i = 0; i < CHANGES; i++) fresh.push(await bentoFresh(a, b, i));
  return { gone, fresh };
}

async function bentoFresh(writer: Bento, reader: Bento, value: number): Promise<number> {
  const key = `f${value % 50}`;
  await reader.get({ key });
  const beganAt = performance.now();
  const written = writer.set({ key, value, ttl: '1h' });
  // A hit in memory is a microtask: without a turn of the event loop no message would ever be read.
  while ((await reader.get({ key })) !== value) await new Promise((resolve) => setImmediate(resolve));
  const ms = performance.now() - beganAt;
  await written;
  return ms;
}

export const confirm: Group = {
  name: 'confirm',
  about:
    'a confirmed put: no agent can answer with the old value when it returns; three agents, Redis Cluster',
  run: async () => {
    await using stack = new Stack();
    const { writer, clients } = await threeAgents(stack);
    const measure = async (confirmed: boolean) => {
      const all: number[] = [];
      for (let i = 0; i < CHANGES; i++) {
        const key = `k${i % 50}`;
        // Each has it in memory, so there is something to take out.
        await Promise.all(clients.map((client) => client.get(NAMESPACE, key)));
        const beganAt = performance.now();
        await writer.put(NAMESPACE, key, i, { confirm: confirmed });
        all.push(performance.now() - beganAt);
      }
      return all;
    };
    // The first ones wait: a log that has just come into being does not know yet who holds entries.
    await measure(true);
    const [confirmed, plain] = [await measure(true), await measure(false)];
    const met = quantile(confirmed, 0.5) < 3;
    return times('confirmed put', confirmed, plain, 'unconfirmed put', { text: 'p50 < 3 ms', met });
  },
};

const NAIVE_CHANNEL = 'naive';

/** What people write by hand: the value, then a message that may be lost. */
function naive(redis: RedisClient | Cluster, i: number): Promise<unknown> {
  return Promise.all([redis.set(`n${i % 1000}`, VALUE), redis.publish(NAIVE_CHANNEL, `n${i % 1000}`)]);
}
const VALUE = 'x'.repeat(512);

export const writes: Group = {
  name: 'writes',
  about: 'changes a second through one agent, 64 in flight; 512-byte values',
  run: async ({ rounds, roundMs, say }) => {
    const rows: Row[] = [];
    for (const mode of ['standalone', 'cluster'] as const) {
      await using stack = new Stack();
      const nodes =
        mode === 'cluster' ? (await stack.cluster()).nodes : [`127.0.0.1:${(await stack.redis()).port}`];
      const agent = await stack.agent({ nodeId: 'bench', file: { redis: { mode, nodes } } });
      const client = stack.client(agent.address);
      const ports = nodes.map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) }));
      const peer = mode === 'cluster' ? new Cluster(ports) : new Redis(ports[0] ?? {});
      stack.defer(() => peer.disconnect());
      await peer.ping();
      const { result, cpu } = await cpuShares({ client: process.pid, agent: agent.pid }, () =>
        inTurns(rounds, [
          () => rate(64, roundMs, (i) => client.put(NAMESPACE, `w${i % 1000}`, VALUE)),
          () => rate(64, roundMs, (i) => client.invalidate(NAMESPACE, { keys: [`w${i % 1000}`] })),
          () => rate(64, roundMs, (i) => naive(peer, i)),
        ]),
      );
      const [puts = 0, invalidations = 0, naives = 0] = result;
      const theirs = { name: 'ioredis SET + PUBLISH', value: naives };
      rows.push({ what: `put, ${mode}`, unit: 'per second', ours: puts, peer: theirs, cpu });
      rows.push({ what: `invalidate, ${mode}`, unit: 'per second', ours: invalidations, peer: theirs });
      say(mode);
    }
    return rows;
  },
};
