import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../agent/errors.ts';
import type { StatsResponse } from '../../client/edge-cache-client.ts';
import { InMemoryMarketplace } from '../../client/marketplace/in-memory-marketplace.ts';
import { keys, NAMESPACE } from '../../client/marketplace/keys.ts';
import { startEcho } from '../local/echo.ts';
import { NODE_FLAGS } from '../local/local-agent.ts';
import { Latencies } from './latencies.ts';
import { LOAD, Load } from './load.ts';
import { killAndWatch, memoryLines, metricsOf } from './memory.ts';
import { type DemoOptions, HELP, parseOptions } from './options.ts';
import { startProbe } from './probe.ts';
import { seededRandom } from './random.ts';
import { allHold, compare, type Result, summaryLines } from './report.ts';
import { leaseOf, type Stack, startStack, statsOf } from './stack.ts';
import { Truth } from './truth.ts';
import { createView, type View } from './view.ts';

/** Time for caches to fill; the targets speak of a cache that is in use. */
const WARM_UP_SECONDS = 8;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
const now = () => performance.now();

class Interrupted extends Error {}

process.exitCode = await main();
// Connections that are being given up must not keep a demo that has ended.
process.exit();

async function main(): Promise<number> {
  let options: DemoOptions;
  try {
    options = parseOptions(process.argv.slice(2), () => Math.floor(Math.random() * 2 ** 31));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return EXIT_USAGE;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  // The JSON object alone is for machines; everything else is for people.
  const view = createView(options.json ? process.stderr : process.stdout);
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => interrupt.abort(new Interrupted()));
  const latency = new Latencies();
  let stack: Stack | undefined;
  try {
    stack = await startStack((line) => view.say(line));
    const result = await run(stack, options, view, latency, interrupt.signal);
    for (const line of ['', ...summaryLines(result), '']) view.say(line);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return allHold(result) ? 0 : 1;
  } catch (error) {
    if (interrupt.signal.aborted) return EXIT_INTERRUPTED;
    view.say(`the demo failed: ${messageOf(error)}`);
    return 1;
  } finally {
    view.say('stopping agents and Redis');
    await stack?.stop();
  }
}

async function run(
  stack: Stack,
  options: DemoOptions,
  view: View,
  latency: Latencies,
  signal: AbortSignal,
): Promise<Result> {
  const random = seededRandom(options.seed);
  const truth = new Truth(Math.max(...stack.nodes.map(({ tier }) => tier.spec.maxStalenessMs)), now);
  const regions = [...new Set(stack.nodes.map(({ tier }) => tier.spec.region))];
  const market = new InMemoryMarketplace({
    gpus: LOAD.gpus,
    regions,
    random,
    changed: ({ gpuId, revision }) => truth.changed(gpuId, revision),
    priced: ({ region, gpuType, revision }) => truth.changed(`price/${region}/${gpuType}`, revision),
  });
  const failures = new Map<string, number>();
  const load = new Load({
    nodes: stack.nodes,
    market,
    truth,
    random,
    now,
    failed: (error) => failures.set(messageOf(error), (failures.get(messageOf(error)) ?? 0) + 1),
  });
  view.say(
    `${LOAD.gpus} GPUs in ${regions.join(' and ')}; readers with Zipf exponent ${LOAD.zipfExponent}; seed ${options.seed}`,
  );
  view.say(`the fleet, as people see it: http://127.0.0.1:${stack.nodes[0]?.agent.httpPort}/ui`);
  if (options.keep) for (const line of hints(stack, load.hottest)) view.say(line);
  let startedAt = now();
  const echoLatency = new Latencies();
  const watch = async (phase: string, untilAt: number) => {
    while (now() < untilAt) {
      await delay(Math.min(1_000, Math.max(1, untilAt - now())), undefined, { signal });
      await show(stack, view, load, truth, phase, (now() - startedAt) / 1000);
    }
  };
  view.say('publishing the inventory');
  await load.publishInventory();
  startedAt = now();
  load.start();
  const echo = await startEcho(NODE_FLAGS);
  const probe = startProbe(
    {
      echo: echo.address,
      nodes: stack.nodes.map(({ addresses }) => addresses),
      namespace: NAMESPACE.availability,
      keys: load.popular.map(keys.gpu),
      zipfExponent: LOAD.zipfExponent,
      perSecond: LOAD.probesPerSecond,
      seed: options.seed,
    },
    (measured) => {
      load.counters.lookups += measured.lookups.length;
      for (const ms of measured.lookups) latency.add(ms);
      for (const ms of measured.echo) echoLatency.add(ms);
    },
  );
  try {
    await watch('warming up', startedAt + WARM_UP_SECONDS * 1000);
    const before = await snapshot(stack);
    const lookupsBefore = load.counters.lookups;
    latency.clear();
    echoLatency.clear();
    await watch('measuring', options.keep ? Number.POSITIVE_INFINITY : now() + options.seconds * 1000);
    const after = await snapshot(stack, 1);
    const { l1HitRatio, hitRatio, events } = compare(before, after);
    const propagation = [...after.values()].map(({ events: each }) => each);
    const metrics = await Promise.all(stack.nodes.map(metricsOf));
    const restarted = await restartOne(stack, view, signal);
    for (const line of ['', ...memoryLines(after, metrics, restarted)]) view.say(line);
    return {
      l1HitRatio,
      hitRatio,
      propagationP50Ms: Math.max(...propagation.map((each) => each?.propagationP50Ms ?? 0)),
      propagationP99Ms: Math.max(...propagation.map((each) => each?.propagationP99Ms ?? 0)),
      lookupP50Ms: latency.percentile(0.5),
      lookupP99Ms: latency.percentile(0.99),
      echoP99Ms: echoLatency.percentile(0.99),
      lookups: load.counters.lookups - lookupsBefore,
      events,
      staleReads: truth.stale,
      agents: stack.nodes.length,
    };
  } finally {
    await Promise.all([load.stop(), probe.stop(), echo.stop()]);
    for (const [message, count] of failures) view.say(`${count} calls failed: ${message}`);
  }
}

/** What users fear of a cache that is in use: one of its agents is gone, and comes back with nothing. */
async function restartOne(stack: Stack, view: View, signal: AbortSignal) {
  const node = stack.nodes.find(({ tier }) => tier.spec.tier === 'regional') ?? stack.nodes[0];
  if (node === undefined) return undefined;
  view.say(`killing agent ${node.agent.nodeId} to see how it comes back`);
  return killAndWatch(node, signal);
}

async function snapshot(stack: Stack, top = 0): Promise<Map<string, StatsResponse>> {
  const found = new Map<string, StatsResponse>();
  for (const node of stack.nodes) {
    const stats = await statsOf(node, top);
    if (stats !== undefined) found.set(node.agent.nodeId, stats);
  }
  return found;
}

async function show(
  stack: Stack,
  view: View,
  load: Load,
  truth: Truth,
  phase: string,
  seconds: number,
): Promise<void> {
  const all = await Promise.all(
    stack.nodes.map(async (node) => [node.agent.nodeId, await statsOf(node)] as const),
  );
  const { checked, stale, worstMs } = truth;
  const leases = new Map(
    await Promise.all(stack.nodes.map(async (node) => [node.agent.nodeId, await leaseOf(node)] as const)),
  );
  view.show({
    ...load.counters,
    phase,
    seconds,
    stats: new Map(all),
    checked,
    stale,
    worstMs,
    leases,
    holders: await holders(stack, load.hottest),
  });
}

async function holders(stack: Stack, gpuId: string): Promise<string> {
  const found = await Promise.all(
    stack.nodes.map(async ({ client, agent }) => {
      try {
        const one = await client.get(NAMESPACE.availability, keys.gpu(gpuId));
        return one.status === 'hit'
          ? `${one.node} ${one.source} version ${one.version}`
          : `${agent.nodeId} ${one.status}`;
      } catch {
        return `${agent.nodeId} away`;
      }
    }),
  );
  return `who holds ${gpuId}: ${found.join(', ')}`;
}

function hints(stack: Stack, hottest: string): string[] {
  const [first] = stack.nodes;
  const [server] = stack.cluster.servers;
  if (first === undefined || server === undefined) return [];
  const request = JSON.stringify({ namespace: NAMESPACE.availability, key: keys.gpu(hottest) });
  return [
    '',
    'Ask it things from another terminal:',
    `  bin/edgecache top --address ${stack.nodes.map(({ agent }) => agent.address).join(',')}`,
    `  curl -s http://127.0.0.1:${first.agent.httpPort}/statusz`,
    `  curl -s http://127.0.0.1:${first.agent.httpPort}/metrics`,
    `  grpcurl -plaintext -d '${request}' ${first.agent.address} edgecache.v1.EdgeCache/Get`,
    `  redis-cli -c -p ${server.port} XREVRANGE 'ec:{marketplace:0}:log' + - COUNT 3`,
    `  redis-cli -c -p ${server.port} SSUBSCRIBE 'ec:{marketplace:0}:events'`,
    'Break it: the agent is started again, a replica takes over the master’s slots.',
    ...stack.nodes.map(({ agent }) => `  kill -9 ${agent.pid}   # agent ${agent.nodeId}`),
    ...stack.cluster.servers
      .slice(0, 3)
      .map(({ port, pid }) => `  kill -9 ${pid}   # Redis master on port ${port}`),
    'Ctrl-C stops everything.',
    '',
  ];
}
