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
import { TracedEvents } from './traced-events.ts';
import { TracedL2 } from './traced-l2.ts';
import { tracedLookups } from './traced-lookups.ts';
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
  const tracer = provider.getTracer('edgecache');
  const { nodeId } = node;
  const tracing = new Tracing({ tracer, nodeId });
  const events = new TracedEvents({ tracer, nodeId, outside: (run) => tracing.outside(run) });
  return {
    buildL2: (next, options) => new TracedL2(next, options, tracing),
    serve: (calls) => tracedServer(tracing, calls),
    lookups: (metadata, answer) => tracedLookups(tracing, metadata, answer),
    addMetrics: (registry, calls) => {
      tracing.exemplify = (...call) => calls.exemplify(...call);
      tracingMetrics(queue, new Declarations(registry));
    },
    queued: (l2) => (part) => events.send(part, () => l2.change(part)),
    traceparent: () => tracing.traceparent,
    applied: (event, how) => events.applied(event, how),
    stop: (timeoutMs) => queue.stop(timeoutMs),
  };
}

function samplerOf({ parentBased, ratio }: TracingConfig): Sampler {
  const root = new TraceIdRatioBasedSampler(ratio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}
