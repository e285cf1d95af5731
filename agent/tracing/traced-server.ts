import { type handleUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { type Attributes, type Span, SpanStatusCode } from '@opentelemetry/api';
import type {
  ChangeResponse,
  EdgeCacheServer,
  GetRequest,
  GetResponse,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { idsOf, type Tracing } from './tracing.ts';

/** What of a call its span tells: from the request, and from the answer. Keys and values are never told. */
interface Telling<Request, Response> {
  readonly asked: (request: Request) => Attributes;
  readonly answered: (response: Response) => Attributes;
}

/** Failures of the server's; others are its caller's, and no errors of this span. */
const SERVERS_FAULT: ReadonlySet<number> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

/** The same calls, each with a span where it belongs to a sampled trace. */
export function tracedServer(tracing: Tracing, calls: EdgeCacheServer): EdgeCacheServer {
  const traced = <Request, Response>(
    method: string,
    handle: handleUnaryCall<Request, Response>,
    telling: Telling<Request, Response>,
  ) => tracedUnary(tracing, method, handle, telling);
  const inNamespace = ({ namespace }: { readonly namespace: string }) => ({
    'edgecache.namespace': namespace,
  });
  return {
    ...calls,
    get: traced('Get', calls.get, { asked: inNamespace, answered: toldOf }),
    batchGet: traced('BatchGet', calls.batchGet, {
      asked: ({ items }) => ({
        'edgecache.items': items.length,
        'edgecache.namespaces': namespacesOf(items),
      }),
      answered: ({ items }) => outcomes(items),
    }),
    put: traced('Put', calls.put, { asked: inNamespace, answered: changed }),
    invalidate: traced('Invalidate', calls.invalidate, { asked: inNamespace, answered: changed }),
    publish: traced('Publish', calls.publish, {
      asked: ({ event }) => ({
        'edgecache.event_type': event?.eventType ?? '',
        'edgecache.namespaces': event?.affectedNamespaces ?? [],
      }),
      answered: changed,
    }),
    fill: traced('Fill', calls.fill, {
      asked: inNamespace,
      answered: ({ accepted }) => ({ 'edgecache.accepted': accepted }),
    }),
    release: traced('Release', calls.release, {
      asked: inNamespace,
      answered: ({ released }) => ({ 'edgecache.released': released }),
    }),
  };
}

function tracedUnary<Request, Response>(
  tracing: Tracing,
  method: string,
  handle: handleUnaryCall<Request, Response>,
  { asked, answered }: Telling<Request, Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const span = tracing.serverSpan(method, call.metadata);
    if (!span.isRecording()) {
      handle(call, callback);
      return;
    }
    span.setAttributes(asked(call.request));
    const since = performance.now();
    const done: sendUnaryData<Response> = (error, response, ...rest) => {
      const code = error === null ? status.OK : (error.code ?? status.UNKNOWN);
      tracing.exemplify(method, status[code] ?? '', performance.now() - since, idsOf(span));
      if (error !== null) endRefused(span, code, error.details ?? '');
      else {
        span.setAttribute('rpc.grpc.status_code', status.OK);
        if (response !== undefined && response !== null) span.setAttributes(answered(response));
        span.end();
      }
      callback(error, response, ...rest);
    };
    tracing.answering([{ span }], () => handle(call, done));
  };
}

function endRefused(span: Span, code: number, message: string): void {
  span.setAttribute('rpc.grpc.status_code', code);
  if (SERVERS_FAULT.has(code)) {
    span.setAttribute('error.type', status[code] ?? String(code));
    span.setStatus({ code: SpanStatusCode.ERROR, message });
  }
  span.end();
}

type Told = Pick<GetResponse, 'found' | 'source' | 'degraded' | 'stale' | 'absent' | 'refusal'>;

/** l1, l2, miss, degraded or refused. */
export function outcomeOf({ found, source, degraded, refusal }: Told): string {
  if (refusal !== undefined) return 'refused';
  if (degraded) return 'degraded';
  if (!found) return 'miss';
  return source === 1 ? 'l1' : 'l2';
}

export function toldOf(answer: Told): Attributes {
  return {
    'edgecache.outcome': outcomeOf(answer),
    ...(answer.stale ? { 'edgecache.stale': true } : {}),
    ...(answer.absent ? { 'edgecache.absent': true } : {}),
  };
}

export function outcomes(items: readonly Told[]): Attributes {
  const counts: Attributes = {};
  for (const item of items) {
    const name = `edgecache.outcomes.${outcomeOf(item)}`;
    counts[name] = Number(counts[name] ?? 0) + 1;
  }
  return counts;
}

export function namespacesOf(items: readonly GetRequest[]): string[] {
  return [...new Set(items.map(({ namespace }) => namespace))];
}

const STATES = ['', 'applied', 'duplicate', 'queued'] as const;

function changed({ state, eventId, confirmation }: ChangeResponse): Attributes {
  return {
    'edgecache.event_id': eventId,
    'edgecache.state': STATES[state],
    ...(confirmation === undefined
      ? {}
      : {
          'edgecache.agents_applied': confirmation.agentsApplied,
          'edgecache.agents_fenced': confirmation.agentsFenced,
        }),
  };
}
