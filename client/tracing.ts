import { AsyncLocalStorage } from 'node:async_hooks';
import { Metadata } from '@grpc/grpc-js';
import type { Attributes, Span, SpanContext, Tracer } from '@opentelemetry/api';
import { EdgeCacheError } from './errors.ts';
import type { ClientHooks } from './options.ts';

/** The span of a caller. */
export interface CallerTrace {
  /** Undefined where its trace is not sampled. */
  readonly traceparent: string | undefined;
}

/** Says which trace the calls belong to that are made now. */
export interface TraceCarrier {
  /** Sent with a call of its own; undefined where nothing is traced. */
  readonly metadata: Metadata | undefined;
  /** Sent when a stream is opened: that this client decides what is traced. */
  readonly streamMetadata: Metadata;
  /** For what is sent later, together with others'; undefined where there is none. */
  readonly caller: CallerTrace | undefined;
  /** Runs what is done for a caller when its own turn is over. */
  within<T>(caller: CallerTrace | undefined, run: () => T): T;
}

/** Tells an agent that lookups without a trace are not sampled, rather than not decided upon. */
const DECIDES_METADATA = 'edgecache-traces';

/** Values of OpenTelemetry's enumerations: its package is the application's, and only its types are used here. */
const KIND_CLIENT = 2;
const STATUS_ERROR = 2;
const SAMPLED = 1;

class Caller implements CallerTrace {
  readonly span: Span;

  constructor(span: Span) {
    this.span = span;
  }

  get traceparent(): string | undefined {
    const context = this.span.spanContext();
    return isSampled(context) ? traceparentOf(context) : undefined;
  }
}

/** Spans of a client, by the application's tracer. */
export class ClientTracing implements TraceCarrier {
  readonly streamMetadata = new Metadata();
  readonly #tracer: Tracer;
  readonly #current = new AsyncLocalStorage<Caller>();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
    this.streamMetadata.set(DECIDES_METADATA, 'client');
  }

  get metadata(): Metadata | undefined {
    const context = this.#current.getStore()?.span.spanContext();
    if (context === undefined) return undefined;
    const metadata = new Metadata();
    metadata.set('traceparent', traceparentOf(context));
    const tracestate = context.traceState?.serialize() ?? '';
    if (tracestate !== '') metadata.set('tracestate', tracestate);
    return metadata;
  }

  get caller(): CallerTrace | undefined {
    return this.#current.getStore();
  }

  within<T>(caller: CallerTrace | undefined, run: () => T): T {
    return caller instanceof Caller ? this.#current.run(caller, run) : this.#current.exit(run);
  }

  /** Tells the span that is open why a loader ran. */
  hooks(hooks: ClientHooks = {}): ClientHooks {
    return {
      ...hooks,
      load: (why, namespace) => {
        this.#current.getStore()?.span.setAttribute('edgecache.load', why);
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
      this.#current.run(new Caller(span), async () => {
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
