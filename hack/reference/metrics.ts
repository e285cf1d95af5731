import { pino } from 'pino';
import { Registry } from 'prom-client';
import { Agent } from '../../agent/agent.ts';
import { startTracing } from '../../agent/tracing/start.ts';
import { resolveAgentConfig } from '../../api/agent-config.ts';
import { ClientMetrics } from '../../client/metrics.ts';
import { OperatorMetrics } from '../../operator/metrics.ts';
import { code, type Page, prose, table } from './markdown.ts';

/** A metric as its registry has it. */
export interface MetricRow {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Metrics of an agent, of the operator and of a client, from the registries that are scraped. */
export async function liveMetrics(): Promise<Record<'agent' | 'operator' | 'client', MetricRow[]>> {
  const operator = new OperatorMetrics();
  operator.observeState({
    queueDepth: () => 0,
    activeWorkers: () => 0,
    watches: () => [],
    certificates: () => [],
    authorityEndsAt: () => undefined,
  });
  const client = new Registry();
  new ClientMetrics(client).observe({ nearStats: undefined });
  return { agent: await agentMetrics(), operator: rowsOf(operator.registry), client: rowsOf(client) };
}

export async function metricsPage(): Promise<Page> {
  const { agent, operator, client } = await liveMetrics();
  const own = ({ name }: MetricRow) => name.startsWith('edgecache_');
  const process = agent.filter((row) => !own(row));
  return {
    name: 'metrics',
    title: 'Metrics',
    summary: 'what agents, the operator and clients are measured by',
    source: 'the registries of agent/metrics.ts, operator/metrics.ts and client/metrics.ts',
    body: [
      'Agents serve them at `:7481/metrics`, the operator at `:8080/metrics`; in OpenMetrics where the scraper accepts it. ' +
        'Counters count since the start of the process. A namespace of the cache is the label `cache_namespace`, because in Kubernetes ' +
        '`namespace` is that of the scraped pod. What alerts and dashboards make of them: [observability](../observability.md).',
      '## Agents',
      metricTable(agent.filter(own)),
      '## The operator',
      metricTable(operator.filter(own)),
      '## The client',
      'In a registry of your own, with [`ClientMetrics`](../observability.md#the-client).',
      metricTable(client),
      '## Of every process',
      'Node’s own, as [prom-client](https://github.com/siimon/prom-client) gives them, of agents and operator alike.',
      metricTable(process),
    ].join('\n\n'),
  };
}

function metricTable(rows: readonly MetricRow[]): string {
  const sorted = [...rows].sort((a, b) => (a.name < b.name ? -1 : 1));
  return table(
    ['metric', 'type', 'labels', 'meaning'],
    sorted.map(({ name, type, labels, help }) => [
      code(name),
      type,
      labels.map(code).join(', '),
      prose(help),
    ]),
  );
}

/** Of an agent that was built and never started: it has asked nobody anything. */
async function agentMetrics(): Promise<MetricRow[]> {
  const redis = { nodes: ['127.0.0.1:1'] };
  const tracing = { endpoint: 'http://127.0.0.1:1' };
  const config = resolveAgentConfig({ nodeId: 'reference', redis, tracing }, {});
  const log = pino({ level: 'silent' });
  const agent = new Agent(config, {
    log,
    tracing: await startTracing(config, log),
    now: () => performance.now(),
    wallClock: Date.now,
    random: Math.random,
  });
  try {
    return rowsOf(agent.registry);
  } finally {
    await agent.stop();
  }
}

/** What the library's types leave out. */
interface Described {
  readonly name: string;
  readonly type: string;
  readonly labelNames: readonly string[];
  readonly help: string;
}

function rowsOf(registry: Registry): MetricRow[] {
  // Its enumeration of types stands for their names, and labels are not in its types.
  const metrics = registry.getMetricsAsArray() as unknown as Described[];
  return metrics.map(({ name, type, labelNames, help }) => ({ name, type, labels: labelNames, help }));
}
