import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bytes } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import type { LocalAgent } from '../../hack/local/local-agent.ts';
import { cpuSeconds, inTurns, rate, residentMb } from '../measure.ts';
import type { Group, Row } from '../row.ts';
import { KEYS, keyOf, NAMESPACE, Stack, VALUE } from '../stack.ts';

/** Share of calls that an agent begins a trace for; undefined: traces are off. */
const MODES = [
  { name: 'off', sampleRatio: undefined },
  { name: 'nothing sampled', sampleRatio: 0 },
  { name: '1 % sampled', sampleRatio: 0.01 },
  { name: 'all sampled', sampleRatio: 1 },
] as const;
const IN_FLIGHT = 32;

interface Side {
  readonly name: string;
  readonly agent: LocalAgent;
  readonly client: EdgeCacheClient;
}

/** A collector that takes all and keeps nothing. */
async function startSink(stack: Stack): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200).end('{}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => server.closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startSides(stack: Stack, streams: boolean): Promise<Side[]> {
  const redis = await stack.redis();
  const endpoint = await startSink(stack);
  const sides: Side[] = [];
  for (const { name, sampleRatio } of MODES) {
    const agent = await stack.agent({
      nodeId: name.replaceAll(/[^a-z]/g, '-'),
      file: {
        redis: { nodes: [`127.0.0.1:${redis.port}`] },
        ...(sampleRatio === undefined ? {} : { tracing: { endpoint, sampleRatio } }),
      },
    });
    sides.push({ name, agent, client: stack.client(agent.address, { lookups: { stream: streams } }) });
  }
  const [first] = sides;
  for (let i = 0; i < KEYS; i++)
    await first?.client.put(NAMESPACE, keyOf(i), VALUE, { codec: bytes, ttlMs: 3_600_000 });
  return sides;
}

/** Microseconds of the agent's processor time for each lookup: what it costs, whatever else this machine does. */
async function costOf({ agent, client }: Side, roundMs: number): Promise<number> {
  for (let i = 0; i < KEYS; i++) await client.get(NAMESPACE, keyOf(i), { codec: bytes });
  const before = cpuSeconds(agent.pid);
  let calls = 0;
  await rate(IN_FLIGHT, roundMs, (i) => {
    calls += 1;
    return client.get(NAMESPACE, keyOf(i), { codec: bytes });
  });
  return ((cpuSeconds(agent.pid) - before) / calls) * 1e6;
}

export const tracing: Group = {
  name: 'tracing',
  about: `what traces cost an agent: processor time of a hit in L1, ${IN_FLIGHT} in flight, and memory`,
  run: async ({ rounds, roundMs, say }) => {
    const rows: Row[] = [];
    for (const [what, streams] of [
      ['a lookup on the stream', true],
      ['a unary Get', false],
    ] as const) {
      await using stack = new Stack();
      const sides = await startSides(stack, streams);
      const costs = await inTurns(
        rounds,
        sides.map((side) => () => costOf(side, roundMs)),
      );
      const [off = 0] = costs;
      costs.forEach((cost, i) => {
        const name = sides[i]?.name ?? '';
        rows.push({
          what: `${what}, ${name}`,
          unit: 'µs',
          ours: cost,
          ...(i === 0 ? {} : { peer: { name: 'off', value: off } }),
        });
      });
      if (!streams) rows.push(...memoryRows(sides));
      say(what);
    }
    return rows;
  },
};

function memoryRows(sides: readonly Side[]): Row[] {
  const [off, ...others] = sides.map(({ name, agent }) => ({ name, mb: residentMb(agent.pid) }));
  return others.map(({ name, mb }) => ({
    what: `resident memory, ${name}`,
    unit: 'MB',
    ours: mb,
    ...(off === undefined ? {} : { peer: { name: 'off', value: off.mb } }),
  }));
}
