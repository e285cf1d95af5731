import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import { bytes } from '../../client/codec.ts';
import { startEcho } from '../../hack/local/echo.ts';
import {
  EdgeCacheService,
  type GetRequest,
  type GetResponse,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { cpuShares, inTurns, quantile, rate } from '../measure.ts';
import type { Group, Row } from '../row.ts';
import { KEYS, keyOf, NAMESPACE, Stack, VALUE } from '../stack.ts';

type Get = (request: GetRequest) => Promise<GetResponse>;

/** The bare stub, the same for both servers: neither has a client's work beside it. */
function bareClient(stack: Stack, address: string): Get {
  const client = new Client(address, credentials.createInsecure());
  stack.defer(() => client.close());
  const { path, requestSerialize, responseDeserialize } = EdgeCacheService.get;
  return (request) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) => {
        if (error !== null) reject(error);
        else if (response !== undefined) resolve(response);
      });
    });
}

const requestOf = (i: number): GetRequest => ({
  namespace: NAMESPACE,
  key: keyOf(i),
  minToken: '',
  wantLease: false,
});

const PACED_PER_SECOND = 5_000;
const EVENTS_PER_SECOND = 1_000;
const PACED_MS = 4_000;

export const unary: Group = {
  name: 'unary',
  about: 'unary Get of 512 bytes from L1, by the bare stub',
  run: async ({ rounds, roundMs, say }) => {
    await using stack = new Stack();
    const redis = await stack.redis();
    const agent = await stack.agent({
      nodeId: 'bench',
      file: { redis: { nodes: [`127.0.0.1:${redis.port}`] } },
    });
    const other = await stack.agent({
      nodeId: 'other',
      file: { redis: { nodes: [`127.0.0.1:${redis.port}`] } },
    });
    const client = stack.client(agent.address);
    for (let i = 0; i < KEYS; i++)
      await client.put(NAMESPACE, keyOf(i), VALUE, { codec: bytes, ttlMs: 3_600_000 });
    // The same flags as an agent's.
    const echo = await startEcho(process.execArgv);
    stack.defer(echo.stop);
    const [ours, theirs] = [bareClient(stack, agent.address), bareClient(stack, echo.address)];
    for (let i = 0; i < KEYS; i++) await ours(requestOf(i));
    const rows: Row[] = [];
    for (const inFlight of [1, 16]) {
      const processes = { client: process.pid, agent: agent.pid, echo: echo.pid };
      const { result, cpu } = await cpuShares(processes, () =>
        inTurns(
          rounds,
          [ours, theirs].map((get) => () => rate(inFlight, roundMs, (i) => get(requestOf(i)))),
        ),
      );
      const [mine = 0, bare = 0] = result;
      rows.push({
        what: `unary Get, ${inFlight} in flight`,
        unit: 'per second',
        ours: mine,
        peer: { name: 'bare grpc-js echo', value: bare },
        goal: { text: '≥ 90 %', met: mine >= 0.9 * bare },
        cpu,
      });
      say(`unary, ${inFlight} in flight`);
    }
    // Changes come through another agent: what they cost there is not this one's.
    const changing = stack.client(other.address);
    const paced = await withEvents(
      (i) => changing.invalidate(NAMESPACE, { keys: [`other-${i % 5_000}`] }),
      async () => {
        const mine = await pacedLatencies(ours);
        return { mine, bare: await pacedLatencies(theirs) };
      },
    );
    const [p99, bare] = [quantile(paced.mine, 0.99), quantile(paced.bare, 0.99)];
    rows.push({
      what: `p99 of unary Get at ${PACED_PER_SECOND}/s, ${EVENTS_PER_SECOND} events/s`,
      unit: 'ms',
      ours: p99,
      peer: { name: 'bare grpc-js echo', value: bare },
      goal: { text: '< 5 ms', met: p99 < 5 },
    });
    return rows;
  },
};

/** Runs something while so many events a second are made. */
async function withEvents<T>(change: (i: number) => Promise<unknown>, run: () => Promise<T>): Promise<T> {
  const end = new AbortController();
  const making = paced(EVENTS_PER_SECOND, end.signal, (i) => change(i));
  try {
    return await run();
  } finally {
    end.abort();
    await making;
  }
}

/** From when each was due, not from when it was sent: a stall is felt by all who came during it. */
async function pacedLatencies(get: Get): Promise<number[]> {
  const latencies: number[] = [];
  const ask = async (i: number, dueAt: number) => {
    await get(requestOf(i));
    latencies.push(performance.now() - dueAt);
  };
  await paced(PACED_PER_SECOND, AbortSignal.timeout(PACED_MS), ask);
  return latencies;
}

/** Calls at a rate, whatever the answers take, until the signal; waits for the last answers. */
async function paced(
  perSecond: number,
  signal: AbortSignal,
  call: (i: number, dueAt: number) => Promise<unknown>,
): Promise<void> {
  const beganAt = performance.now();
  const running = new Set<Promise<unknown>>();
  let sent = 0;
  while (!signal.aborted) {
    const due = Math.floor(((performance.now() - beganAt) / 1000) * perSecond);
    for (; sent < due; sent++) {
      const one = call(sent, beganAt + (sent / perSecond) * 1000).catch(() => undefined);
      running.add(one);
      void one.then(() => running.delete(one));
    }
    await delay(1);
  }
  await Promise.all(running);
}
