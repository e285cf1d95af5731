import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { messageOf } from '../../agent/errors.ts';
import { mergePatch } from '../../operator/kube/apply.ts';
import { fieldAt, type KubeObject, numberAt } from '../../operator/kube/object.ts';
import { NODES, TIERS } from '../../operator/kube/resources.ts';
import { FakeAgent } from '../../operator/testing/fake-agent.ts';
import { installCrd } from '../../test/kube/crd.ts';
import { until } from '../local/children.ts';
import { startControlPlane } from './control-plane.ts';
import { OperatorProcess } from './operator-process.ts';

const HELP = `Usage: npm run scale [-- --nodes N --tiers N --json]

How the operator bears a large cluster: a real control plane, nodes and pods simulated by kwok, agents answered for
by one process. Prints a table and writes bench/results/scale.json. Takes some minutes; needs root.

  --nodes N   nodes of the one large tier (default 1000)
  --tiers N   small tiers that come at once (default 200)
  --json      the result as JSON alone
  --help      this text
`;

const REGION_LABEL = 'topology.kubernetes.io/region';
const LIMIT_MS = 600_000;

interface Row {
  readonly step: string;
  readonly seconds: number;
  readonly requests: number;
  readonly requestsPerTier: number;
}

type World = Awaited<ReturnType<typeof build>>;

process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '1000' },
      tiers: { type: 'string', default: '200' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [nodes, tiers] = [Number(values.nodes), Number(values.tiers)];
  if (!Number.isInteger(nodes) || !Number.isInteger(tiers) || nodes < 1 || tiers < 1 || nodes > 20_000) {
    process.stderr.write(
      `--nodes and --tiers: got '${values.nodes}' and '${values.tiers}'; must be whole numbers above 0\n`,
    );
    return 2;
  }
  const say = (line: string) => (values.json ? process.stderr : process.stdout).write(`${line}\n`);
  try {
    const result = await measure(nodes, tiers, say);
    mkdirSync('bench/results', { recursive: true });
    writeFileSync('bench/results/scale.json', `${JSON.stringify(result, null, 2)}\n`);
    for (const line of table(result.rows)) say(line);
    say(`operator: at most ${result.operatorPeakMemoryMb} MB`);
    if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
}

async function measure(nodes: number, tiers: number, say: (line: string) => void) {
  say('starting etcd, API server, controllers, scheduler and kwok');
  await using plane = await startControlPlane();
  const world = await build(plane, nodes, tiers, say);
  const rows: Row[] = [];
  const step = async (name: string, count: number, run: () => Promise<void>) => {
    const row = await timed(world, name, count, run);
    rows.push(row);
    say(`${name}: ${row.seconds} s, ${row.requests} API requests`);
  };
  const small = Array.from({ length: tiers }, (_, i) => `small-${i}`);
  const one = small.slice(0, 1);
  await step(`a tier on ${nodes} nodes, until its agents are ready`, 1, async () => {
    await makeTiers(world, ['large']);
    await ready(world, ['large'], nodes);
  });
  await step(`its TTL changed, until all ${nodes} agents have it`, 1, () => retune(world, ['large'], nodes));
  await step('a tier on one node, until its agent is ready', 1, async () => {
    await makeTiers(world, one);
    await ready(world, one, 1);
  });
  await step('its TTL changed, until the agent has it', 1, () => retune(world, one, 1));
  await step(`${tiers - 1} more tiers at once, until all are ready`, tiers - 1, async () => {
    await makeTiers(world, small.slice(1));
    await ready(world, small, 1);
  });
  await step(`TTLs of ${tiers} tiers changed at once`, tiers, () => retune(world, small, 1));
  const peaks = [world.operator.peakMemoryMb()];
  await world.operator.stop('SIGKILL');
  const all = ['large', ...small];
  await step('operator killed and started again, until it has seen to all tiers', all.length, async () => {
    world.operator = await OperatorProcess.start(world.kubeconfig, world.agent);
    await until(
      'all tiers are reconciled',
      async () =>
        (await world.operator.metric('reconcile_total')) >= all.length &&
        (await world.operator.metric('workqueue_depth')) === 0,
      { timeoutMs: LIMIT_MS },
    );
    await ready(world, all, 1);
  });
  peaks.push(world.operator.peakMemoryMb());
  await world.operator.stop();
  await world.agent[Symbol.asyncDispose]();
  return { nodes, tiers, rows, operatorPeakMemoryMb: Math.max(...peaks) };
}

async function build(
  { server }: Awaited<ReturnType<typeof startControlPlane>>,
  nodes: number,
  tiers: number,
  say: (line: string) => void,
) {
  const client = server.client();
  await installCrd(client);
  const agent = await new FakeAgent().listen('0.0.0.0');
  say(`making ${nodes + tiers} nodes`);
  const regions = [
    ...Array.from({ length: nodes }, () => 'large'),
    ...Array.from({ length: tiers }, (_, i) => `small-${i}`),
  ];
  await forEach(regions, async (region, i) => {
    const metadata = { name: `node-${i}`, labels: { [REGION_LABEL]: region } };
    const node = await client.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata });
    // A new node is not ready, and the controller that would find it so is not among those that run.
    await mergePatch(client, NODES, node, { spec: { taints: null } });
  });
  const kubeconfig = server.writeKubeConfig();
  return {
    client,
    agent,
    kubeconfig,
    operator: await OperatorProcess.start(kubeconfig, agent),
    ttlSeconds: 30,
  };
}

async function timed(world: World, step: string, count: number, run: () => Promise<void>): Promise<Row> {
  const { operator } = world;
  const before = await operator.metric('api_requests_total').catch(() => 0);
  const startedAt = performance.now();
  await run();
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  // A new process has counted from nothing.
  const counted = world.operator === operator ? before : 0;
  const requests = (await world.operator.metric('api_requests_total')) - counted;
  return { step, seconds, requests, requestsPerTier: Math.round((10 * requests) / count) / 10 };
}

function makeTiers({ client }: World, names: readonly string[]): Promise<void> {
  return forEach(names, async (name) => {
    await client.create(TIERS, {
      apiVersion: TIERS.apiVersion,
      kind: TIERS.kind,
      metadata: { name, namespace: 'default' },
      spec: {
        region: name,
        tier: 'edge',
        cacheId: name,
        redis: { nodes: ['redis:6379'] },
        rollout: { minReadySeconds: 0, maxUnavailable: '100%' },
      },
    });
  });
}

/** Until the tiers say themselves that so many agents of each are ready, of their newest generation. */
async function ready({ client }: World, names: readonly string[], agents: number): Promise<void> {
  const wanted = new Set(names);
  await until(
    'tiers are ready',
    async () => {
      const list = await client.json({ path: '/apis/edgecache.dev/v1alpha1/edgecachetiers' });
      const items: unknown = Reflect.get(Object(list), 'items');
      if (!Array.isArray(items)) return false;
      const done = items.filter(
        (tier: KubeObject) => wanted.has(tier.metadata.name) && isReady(tier, agents),
      );
      return done.length === names.length;
    },
    { timeoutMs: LIMIT_MS },
  );
}

function isReady(tier: KubeObject, agents: number): boolean {
  return (
    (numberAt(tier, 'status', 'readyAgents') ?? 0) >= agents &&
    fieldAt(tier, 'status', 'observedGeneration') === tier.metadata.generation
  );
}

/** Another TTL in each tier; until every agent has been handed it. */
async function retune(world: World, names: readonly string[], agents: number): Promise<void> {
  const { client, agent } = world;
  const before = agent.pushes.length;
  world.ttlSeconds += 1;
  const spec = { l1: { ttlSeconds: world.ttlSeconds } };
  await forEach(names, (name) =>
    mergePatch(client, TIERS, { metadata: { name, namespace: 'default' } }, { spec }),
  );
  await until(
    'agents have the change',
    () => agent.pushes.slice(before).filter(({ status }) => status === 200).length >= agents * names.length,
    { timeoutMs: LIMIT_MS },
  );
}

/** Several at a time: what is measured is the operator, not how fast its load can be made. */
async function forEach<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const [index, item] of queue) await work(item, index);
    }),
  );
}

function table(rows: readonly Row[]): string[] {
  const width = Math.max(...rows.map(({ step }) => step.length));
  return [
    `${'step'.padEnd(width)}  seconds  API requests  for each tier`,
    ...rows.map(
      ({ step, seconds, requests, requestsPerTier }) =>
        `${step.padEnd(width)}  ${String(seconds).padStart(7)}  ${String(requests).padStart(12)}  ${String(requestsPerTier).padStart(13)}`,
    ),
  ];
}
