import { AsyncLocalStorage } from 'node:async_hooks';
import { Metadata } from '@grpc/grpc-js';
import type { Attributes, Span, SpanContext, Tracer } from '@opentelemetry/api';
import { EdgeCacheError } from './errors.ts';
import type { ClientHooks } from './options.ts';

/** Says which trace the calls belong to that are made now. */
export interface TraceCarrier {
  /** Sent with a call of its own; undefined where nothing is traced. */
  readonly metadata: Metadata | undefined;
  /** Sent with a lookup among many; undefined where its trace is not sampled. */
  readonly traceparent: string | undefined;
}

/** Values of OpenTelemetry's enumerations: its package is the application's, and only its types are used here. */
const KIND_CLIENT = 2;
const STATUS_ERROR = 2;
const SAMPLED = 1;

/** Spans of a client, by the application's tracer. */
export class ClientTracing implements TraceCarrier {
  readonly #tracer: Tracer;
  readonly #current = new AsyncLocalStorage<Span>();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  get metadata(): Metadata | undefined {
    const context = this.#current.getStore()?.spanContext();
    if (context === undefined) return undefined;
    const metadata = new Metadata();
    metadata.set('traceparent', traceparentOf(context));
    const tracestate = context.traceState?.serialize() ?? '';
    if (tracestate !== '') metadata.set('tracestate', tracestate);
    return metadata;
  }

  get traceparent(): string | undefined {
    const context = this.#current.getStore()?.spanContext();
    return context !== undefined && isSampled(context) ? traceparentOf(context) : undefined;
  }

  /** Tells the span that is open why a loader ran. */
  hooks(hooks: ClientHooks = {}): ClientHooks {
    return {
      ...hooks,
      load: (why, namespace) => {
        this.#current.getStore()?.setAttribute('edgecache.load', why);
        hooks.load?.(why, namespace);
      },
    };
  }

  /** Runs a call in a span, which is the active one for what its loader does. */
  span<T>(
    operation: string,
    attributes: Attributes,
    run: () => Promise<T>,
    tell: (result: T) => Attributes = () => ({}),
  ): Promise<T> {
    const options = { kind: KIND_CLIENT, attributes } as const;
    return this.#tracer.startActiveSpan(`EdgeCache ${operation}`, options, (span) =>
      this.#current.run(span, async () => {
        try {
          const result = await run();
          if (span.isRecording()) span.setAttributes(tell(result));
          return result;
        } catch (error) {
          fail(span, error);
          throw error;
        } finally {
          span.end();
        }
      }),
    );
  }
}

function fail(span: Span, error: unknown): void {
  if (error instanceof EdgeCacheError) span.setAttribute('error.type', error.code);
  span.setStatus({ code: STATUS_ERROR, message: error instanceof Error ? error.message : String(error) });
}

/** W3C Trace Context. */
function traceparentOf(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${isSampled(context) ? '01' : '00'}`;
}

function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & SAMPLED) === SAMPLED;
}
