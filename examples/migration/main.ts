/**
 * An application of two processes' worth, which keeps prices in Redis with a TTL and nothing else, goes over to Edge
 * Cache in four phases under load, and back one. Redis and agents are real, on free ports of this machine.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { formatReport, type MigrationSettings } from '../../client/migration/migration.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { Database } from './database.ts';
import { Load } from './load.ts';
import { migratePrices } from './prices.ts';

const HELP = `Usage: npm run example:migration -- [--seconds N]

Takes an application from a TTL-only cache in Redis to Edge Cache, in four phases, and prints what each has shown.

  --seconds N   how long each phase lasts (5)
  --help        this text

Exit codes: 0 Edge Cache answered nothing stale, 1 it did, 2 wrong arguments
`;

const KEYS = Array.from({ length: 20 }, (_, i) => `region-${i % 4}/H${100 + i}`);
const OLD_TTL_MS = 3_000;
const PHASES: readonly Partial<MigrationSettings>[] = [
  { phase: 'observe' },
  { phase: 'publish' },
  // First every process tells Edge Cache of changes for certain, then keys are read there.
  { phase: 'read', edgeShare: 0 },
  { edgeShare: 0.5 },
  { phase: 'alone' },
  { phase: 'read', edgeShare: 0.5 },
];

const { values } = parseArgs({ options: { seconds: { type: 'string' }, help: { type: 'boolean' } } });
const seconds = Number(values.seconds ?? 5);
if (values.help) {
  process.stdout.write(HELP);
} else if (!(seconds >= 1 && seconds <= 3_600)) {
  process.stderr.write(`--seconds: got '${values.seconds}'; must be a number from 1 to 3600\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await main();
}

async function main(): Promise<number> {
  const database = new Database();
  for (const key of KEYS) await database.setPrice(key, 1);
  const server = await RedisServer.start();
  const file = { redis: { nodes: [server.address] } };
  const agents = await Promise.all(['node-a', 'node-b'].map((nodeId) => LocalAgent.start({ nodeId, file })));
  const apps = agents.map(({ address }) => {
    const redis = new Redis(server.port);
    const client = new EdgeCacheClient({ addresses: [address] });
    return { redis, client, ...migratePrices(redis, client, database, OLD_TTL_MS) };
  });
  const load = new Load({
    database,
    processes: apps.map(({ prices }) => prices),
    keys: KEYS,
    readsPerSecond: 200,
    changesPerSecond: 4,
  });

  for (const settings of PHASES) {
    // Each process goes on by itself: here the first, then the second, under load.
    for (const { migration } of apps) await migration.configure(settings);
    await delay(seconds * 1_000);
    process.stdout.write(`\n== ${JSON.stringify(settings)}\n`);
    // Of one process; the other sees much the same.
    const [, reader] = apps;
    if (reader !== undefined) process.stdout.write(`${formatReport(reader.migration.report())}\n`);
  }

  await load.stop();
  let staleFromEdge = 0;
  for (const { migration, client, redis } of apps) {
    await migration.close();
    client.close();
    redis.disconnect();
    for (const { edge } of migration.report().namespaces) staleFromEdge += edge.stale;
  }
  for (const agent of agents) await agent.stop();
  await server.stop();
  process.stdout.write(`\nstale answers of Edge Cache, in all phases: ${staleFromEdge}\n`);
  return staleFromEdge === 0 ? 0 : 1;
}
