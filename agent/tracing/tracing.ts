import { AsyncLocalStorage } from 'node:async_hooks';
import type { Metadata } from '@grpc/grpc-js';
import {
  type Attributes,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';
import { AgentError, messageOf } from '../errors.ts';
import type { CallDurations, TraceIds } from '../metrics/call-durations.ts';
import { contextOf, formatTraceparent, parseTraceparent, within } from './traceparent.ts';

export interface TracingOptions {
  readonly tracer: Tracer;
  readonly nodeId: string;
}

/** A request that is traced, while it is answered. */
export interface Traced {
  readonly span: Span;
  /** Of one lookup among many: what it asks for. */
  readonly only?: { readonly namespace: string; readonly key: string };
}

export interface Script {
  readonly name: string;
  readonly partition: number;
  readonly attributes?: Attributes;
  /** Entries that it reads: lookups among many are told of their own alone. */
  readonly items?: readonly { readonly namespace: string; readonly key: string }[];
}

const SERVICE = 'edgecache.v1.EdgeCache';

/**
 * Spans of this agent. What is answered at the moment travels with the asynchronous calls, and only where it is
 * sampled: who is not in a sampled trace pays for the decision, and nothing else.
 */
export class Tracing {
  readonly #tracer: Tracer;
  readonly #nodeId: string;
  readonly #current = new AsyncLocalStorage<readonly Traced[]>();

  constructor({ tracer, nodeId }: TracingOptions) {
    this.#tracer = tracer;
    this.#nodeId = nodeId;
  }

  /** The span of a call, as a child of its caller's, where there is one. */
  serverSpan(method: string, metadata: Metadata): Span {
    const [traceparent] = metadata.get('traceparent');
    const [tracestate] = traceparent === undefined ? [] : metadata.get('tracestate');
    const parent =
      traceparent === undefined
        ? undefined
        : parseTraceparent(String(traceparent), tracestate === undefined ? '' : String(tracestate));
    return this.rpcSpan(method, parent);
  }

  rpcSpan(method: string, parent: SpanContext | undefined): Span {
    const attributes = {
      'rpc.system': 'grpc',
      'rpc.service': SERVICE,
      'rpc.method': method,
      'edgecache.node': this.#nodeId,
    };
    return this.#tracer.startSpan(
      `${SERVICE}/${method}`,
      { kind: SpanKind.SERVER, attributes },
      contextOf(parent),
    );
  }

  /** Told how long a traced call took. */
  exemplify: CallDurations['exemplify'] = () => undefined;

  /** Runs what belongs to no request, whoever happened to begin it. */
  outside<T>(run: () => T): T {
    return this.#current.exit(run);
  }

  /** Runs what belongs to traced requests. */
  answering<T>(requests: readonly Traced[], run: () => T): T {
    return this.#current.run(requests, run);
  }

  /** The span that is answered now, for what happens elsewhere because of it. */
  get traceparent(): string | undefined {
    const [first] = this.#current.getStore() ?? [];
    return first === undefined ? undefined : formatTraceparent(first.span.spanContext());
  }

  /** Runs a script of Redis with a span in each trace that it belongs to. */
  script<T>(script: Script, run: () => Promise<T>): Promise<T> {
    const requests = this.#current.getStore();
    return requests === undefined ? run() : this.#script(requests, script, run);
  }

  async #script<T>(
    requests: readonly Traced[],
    { name, partition, attributes, items }: Script,
    run: () => Promise<T>,
  ): Promise<T> {
    // By a set: a batch may be of a thousand callers, all of them traced.
    const read = items === undefined ? undefined : new Set(items.map(nameOf));
    const concerned = requests.filter(
      ({ only }) => only === undefined || read === undefined || read.has(nameOf(only)),
    );
    const spans = concerned.map(({ span }) =>
      this.#tracer.startSpan(
        `redis ${name}`,
        {
          kind: SpanKind.CLIENT,
          attributes: {
            'db.system': 'redis',
            'db.system.name': 'redis',
            'db.operation.name': name,
            'edgecache.partition': partition,
            ...(items === undefined ? {} : { 'db.operation.batch.size': items.length }),
            ...attributes,
          },
        },
        within(span),
      ),
    );
    try {
      const result = await run();
      for (const span of spans) span.end();
      return result;
    } catch (error) {
      for (const span of spans) endFailed(span, error);
      throw error;
    }
  }
}

function nameOf({ namespace, key }: { readonly namespace: string; readonly key: string }): string {
  return `${namespace}:${key}`;
}

export function idsOf(span: Span): TraceIds {
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

export function endFailed(span: Span, error: unknown): void {
  if (error instanceof AgentError) span.setAttribute('error.type', error.code);
  span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
  span.end();
}
