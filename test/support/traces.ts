import type { Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { onTestFinished } from 'vitest';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from './cache.ts';
import { OtlpReceiver } from './otlp-receiver.ts';

/** A collector for the length of a test. */
export async function collector(): Promise<OtlpReceiver> {
  const receiver = await OtlpReceiver.start();
  onTestFinished(() => receiver.stop());
  return receiver;
}

export async function redisServer(): Promise<RedisServer> {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  return redis;
}

export interface TracedAgentOptions {
  readonly redis: RedisServer;
  readonly receiver: OtlpReceiver;
  readonly nodeId: string;
  readonly sampleRatio?: number;
}

/** An agent that traces. */
export async function tracedAgent(options: TracedAgentOptions): Promise<TestAgent> {
  const { redis, receiver, nodeId, sampleRatio = 0 } = options;
  const file = {
    nodeId,
    cacheId: 'traced',
    redis: standalone(redis.port),
    tracing: { endpoint: receiver.endpoint, sampleRatio },
  };
  const one = await startAgent({ file });
  onTestFinished(() => one.stop());
  return one;
}

/** An application's own SDK, which samples all or nothing. */
export function applicationTracer(receiver: OtlpReceiver, sampled = true): Tracer {
  const exporter = new OTLPTraceExporter({ url: `${receiver.endpoint}/v1/traces` });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'shop' }),
    sampler: sampled ? new AlwaysOnSampler() : new AlwaysOffSampler(),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  onTestFinished(() => provider.shutdown());
  return provider.getTracer('shop');
}
