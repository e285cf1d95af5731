import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import type { AgentConfig } from '../../api/agent-config.ts';
import type { TracingConfig } from '../../api/tracing.ts';
import { Declarations } from '../metrics/declarations.ts';
import type { AgentTracing } from './agent-tracing.ts';
import { tracingMetrics } from './metrics.ts';
import { SpanQueue } from './span-queue.ts';
import { TracedL2 } from './traced-l2.ts';
import { tracedServer } from './traced-server.ts';
import { Tracing } from './tracing.ts';

type Node = Pick<AgentConfig, 'nodeId' | 'region' | 'datacenter' | 'tier' | 'cacheId'>;

/** Tracing by OpenTelemetry's own SDK. Only ever imported where traces are on: see start.ts. */
export function buildTracing(config: TracingConfig, node: Node, log: Logger): AgentTracing {
  const queue = new SpanQueue({
    exporter: new OTLPTraceExporter({ url: config.url }),
    now: () => performance.now(),
    log,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': config.serviceName,
      'host.name': node.nodeId,
      'cloud.region': node.region,
      ...(node.datacenter === '' ? {} : { 'cloud.availability_zone': node.datacenter }),
      'edgecache.tier': node.tier,
      'edgecache.cache_id': node.cacheId,
      ...config.attributes,
    }),
    sampler: samplerOf(config),
    spanProcessors: [queue],
  });
  log.info({ url: config.url, ratio: config.ratio, parentBased: config.parentBased }, 'traces are on');
  const tracing = new Tracing({ tracer: provider.getTracer('edgecache'), nodeId: node.nodeId });
  return {
    buildL2: (next, options) => new TracedL2(next, options, tracing),
    serve: (calls) => tracedServer(tracing, calls),
    addMetrics: (registry) => tracingMetrics(queue, new Declarations(registry)),
    stop: (timeoutMs) => queue.stop(timeoutMs),
  };
}

function samplerOf({ parentBased, ratio }: TracingConfig): Sampler {
  const root = new TraceIdRatioBasedSampler(ratio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}
