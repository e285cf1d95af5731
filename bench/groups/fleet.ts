import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bytes } from '../../client/codec.ts';
import { endChild, startChild, temporaryFolder } from '../../hack/local/children.ts';
import { cpuShares, quantile, residentMb } from '../measure.ts';
import type { Group, Row } from '../row.ts';
import { NAMESPACE, Stack } from '../stack.ts';

const MAIN = fileURLToPath(new URL('../simulated-agents-main.ts', import.meta.url));
const STAGE = fileURLToPath(new URL('../../hack/images/stage.ts', import.meta.url));
const PROCESSES = 2;
const EVENTS_PER_SECOND = 20;
const MEASURED_MS = 5_000;

interface Ears {
  readonly pid: number;
  /** Propagation times since the last question, in milliseconds. */
  readonly ask: () => Promise<number[]>;
}

async function startEars(stack: Stack, port: number, count: number): Promise<Ears> {
  const child = startChild(process.execPath, [...process.execArgv, MAIN, String(port), String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  stack.defer(() => endChild(child, 'SIGKILL'));
  const { stdin, stdout, pid } = child;
  if (stdin === null || stdout === null || pid === undefined)
    throw new Error('no process for simulated agents');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  await lines.next();
  const ask = async () => {
    stdin.write('\n');
    const { value } = await lines.next();
    const times: unknown = JSON.parse(String(value));
    return Array.isArray(times) ? times.map(Number) : [];
  };
  return { pid, ask };
}

export const fleet: Group = {
  name: 'fleet',
  about: `propagation and Redis with many agents’ subscriptions and leases on one Redis, ${EVENTS_PER_SECOND} changes a second`,
  run: async ({ say }) => {
    const rows: Row[] = [];
    for (const agents of [10, 100, 1_000]) {
      await using stack = new Stack();
      const redis = await stack.redis();
      const agent = await stack.agent({
        nodeId: 'real',
        file: { redis: { nodes: [`127.0.0.1:${redis.port}`] } },
      });
      const client = stack.client(agent.address);
      const ears = await Promise.all(
        Array.from({ length: PROCESSES }, () => startEars(stack, redis.port, agents / PROCESSES)),
      );
      await Promise.all(ears.map(({ ask }) => ask()));
      const pids = Object.fromEntries(ears.map(({ pid }, i) => [`simulation ${i + 1}`, pid]));
      const { cpu } = await cpuShares({ redis: redis.pid, agent: agent.pid, ...pids }, async () => {
        const endAt = performance.now() + MEASURED_MS;
        for (let i = 0; performance.now() < endAt; i++) {
          await client.invalidate(NAMESPACE, { keys: [`k${i % 100}`] });
          await delay(1_000 / EVENTS_PER_SECOND);
        }
      });
      const times = (await Promise.all(ears.map(({ ask }) => ask()))).flat();
      const p99 = quantile(times, 0.99);
      const what = `propagation to ${agents.toLocaleString('en-US')} agents`;
      rows.push({ what: `${what}, p50`, unit: 'ms', ours: quantile(times, 0.5), cpu });
      const goal = agents === 1_000 ? { goal: { text: 'p99 < 100 ms', met: p99 < 100 } } : {};
      rows.push({ what: `${what}, p99`, unit: 'ms', ours: p99, ...goal });
      rows.push({
        what: `Redis with ${agents.toLocaleString('en-US')} agents`,
        unit: 'share',
        ours: cpu['redis'] ?? 0,
      });
      say(`${agents} agents: ${times.length} times`);
    }
    return rows;
  },
};

const ENTRIES = 5_000;
/** Time for the collector to notice that there is little to do. */
const REST_MS = 15_000;

/** The agent as it is in its image. */
function compiledAgent(): string {
  const folder = temporaryFolder('bench-image');
  execFileSync(process.execPath, [STAGE, folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  return join(folder, 'agent/agent/main.js');
}

export const footprint: Group = {
  name: 'footprint',
  about: 'an agent alone, as it is in its image',
  run: async ({ rounds, say }) => {
    await using stack = new Stack();
    const redis = await stack.redis();
    const image = { main: compiledAgent(), env: { MALLOC_ARENA_MAX: '1' } };
    const file = { redis: { nodes: [`127.0.0.1:${redis.port}`] }, tier: 'global' as const };
    const starts: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const beganAt = performance.now();
      const one = await stack.agent({ nodeId: `start-${i}`, file, ...image });
      starts.push(performance.now() - beganAt);
      await one.stop();
    }
    say('starts');
    const agent = await stack.agent({ nodeId: 'bench', file, ...image });
    const client = stack.client(agent.address);
    const idle = residentMb(agent.pid);
    const keys = Array.from({ length: ENTRIES }, (_, i) => `key-${i}`);
    const value = Buffer.alloc(1_000, 'x');
    for (const key of keys) await client.put(NAMESPACE, key, value, { codec: bytes, ttlMs: 3_600_000 });
    for (let i = 0; i < ENTRIES; i += 500)
      await client.getMany(NAMESPACE, keys.slice(i, i + 500), { codec: bytes });
    const filled = residentMb(agent.pid);
    await delay(REST_MS);
    const full = residentMb(agent.pid);
    const goal = { text: '< 120 MB', met: full < 120 };
    return [
      { what: 'start to ready', unit: 'ms', ours: quantile(starts, 0.5) },
      { what: 'resident memory, empty', unit: 'MB', ours: idle },
      { what: `resident memory, just filled`, unit: 'MB', ours: filled },
      { what: `resident memory, ${ENTRIES.toLocaleString('en-US')} × 1 KB`, unit: 'MB', ours: full, goal },
    ];
  },
};
